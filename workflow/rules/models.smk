"""Models: every network and the mechanisms of the parents, each trained on its own, as listed in models/registry.py."""


# A killed training resumes from the state in its folder, which is not an output.
rule train:
    input:
        files_read,
        dataset=rules.synthesise.output.dataset,
    output:
        model="<results>/models/{folder}/model.safetensors",
        meta="<results>/models/{folder}/model.json",
        curve="<results>/models/{folder}/log.csv",
    log:
        "<logs>/train/{folder}.log",
    benchmark:
        "<benchmarks>/train/{folder}.jsonl"
    wildcard_constraints:
        folder=folders_of(seeded=True),
    # The longest jobs: they start first.
    priority: 10
    conda:
        "../../envs/counterfactory.yaml"
    threads: lambda wildcards: getattr(training_of(wildcards.folder).training, "threads", 1)
    resources:
        mem_mb=growing(training_mb),
        runtime=growing(training_time),
        gpu=lambda wildcards: GPU if training_of(wildcards.folder).model.images else 0,
    params:
        name=lambda wildcards: training_of(wildcards.folder).name,
        settings=lambda wildcards: training_of(wildcards.folder).settings,
        options=training_options,
        data=subpath(input.dataset, parent=True),
        folder=subpath(input.dataset, ancestor=2),
        out=subpath(output.model, parent=True),
        device=lambda wildcards: SETTINGS.device if training_of(wildcards.folder).model.images else "cpu",
        code=lambda wildcards: training_of(wildcards.folder).code,
    message:
        "Training {wildcards.folder}"
    shell:
        "python -m counterfactory train {params.name} --settings {params.settings:q} {params.options:q}"
        " --data {params.data:q} --models {params.folder:q}/models --out {params.out:q} --device {params.device}"
        " 2>&1 | tee {log:q}"


# Models that start from trained models.
use rule train as finetune with:
    output:
        model="<results>/models/{folder}/model.safetensors",
        meta="<results>/models/{folder}/model.json",
        curve="<results>/models/{folder}/log.csv",
    wildcard_constraints:
        folder=folders_of(seeded=True, dependent=True),


# Evaluation networks and predictors: the same for all training seeds.
use rule train as train_once with:
    output:
        model="<results>/models/{folder}/model.safetensors",
        meta="<results>/models/{folder}/model.json",
        curve="<results>/models/{folder}/log.csv",
    wildcard_constraints:
        folder=folders_of(seeded=False),
    priority: 0


# Models whose weights are given: the key `weights` of their section names a file.
rule import_model:
    input:
        weights=lambda wildcards: import_of(wildcards.imported).path,
        dataset=rules.synthesise.output.dataset,
        # The options and the errors of the import are checked on images.
        images=expand("<results>/data/{split}/images.npy", split=["valid", "test"]),
        attributes=expand("<results>/data/{split}/attributes.parquet", split=["valid", "test"]),
    output:
        model="<results>/models/{imported}/model.safetensors",
        meta="<results>/models/{imported}/model.json",
    log:
        "<logs>/import_model/{imported}.log",
    benchmark:
        "<benchmarks>/import_model/{imported}.jsonl"
    wildcard_constraints:
        imported=imported_folders(),
    conda:
        "../../envs/counterfactory.yaml"
    resources:
        mem_mb=growing(lambda wildcards: 2000 + network_mb("valid", "test")),
        runtime=growing(60),
    params:
        name=lambda wildcards: import_of(wildcards.imported).name,
        options=lambda wildcards: import_of(wildcards.imported).options,
        attributes=lambda wildcards: import_of(wildcards.imported).attributes,
        seed=lambda wildcards: import_of(wildcards.imported).seed,
        data=subpath(input.dataset, parent=True),
        out=subpath(output.model, parent=True),
        code=lambda wildcards: import_of(wildcards.imported).code,
    message:
        "Importing {wildcards.imported}"
    shell:
        "python -m counterfactory import {input.weights:q} --as {params.name} --options {params.options:q}"
        " {params.attributes:q} --seed {params.seed} --data {params.data:q} --out {params.out:q} --device cpu"
        " 2>&1 | tee {log:q}"


# Pretrained weights. No code hash: they are compared with known values.
rule fetch_weights:
    output:
        model="<results>/models/{pretrained}/model.safetensors",
        meta="<results>/models/{pretrained}/model.json",
    log:
        "<logs>/fetch_weights/{pretrained}.log",
    benchmark:
        "<benchmarks>/fetch_weights/{pretrained}.jsonl"
    # Cluster nodes often have no internet access.
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        network=lambda wildcards: PRETRAINED[wildcards.pretrained].network,
        source=lambda wildcards: PRETRAINED[wildcards.pretrained].source,
        # A missing file only disables what requires it; the step runs again when the file appears.
        given=lambda wildcards: weights_there(wildcards.pretrained),
        out=subpath(output.model, parent=True),
    message:
        "Fetching the weights of {wildcards.pretrained}"
    shell:
        "python -m counterfactory weights {params.network} --source {params.source:q} --optional --out {params.out:q}"
        " 2>&1 | tee {log:q}"
