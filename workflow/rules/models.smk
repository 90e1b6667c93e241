"""Models: the parents' mechanisms, the judges, the image models, each trained by itself."""


rule fit_scm:
    input:
        dataset=rules.synthesise.output.dataset,
        attributes=expand("<results>/data/{split}/attributes.parquet", split=["train", "valid", "test"]),
    output:
        model="<results>/models/scm/seed{seed}/model.safetensors",
        meta="<results>/models/scm/seed{seed}/model.json",
        curve="<results>/models/scm/seed{seed}/log.csv",
    log:
        "<logs>/fit_scm/seed{seed}.log",
    benchmark:
        "<benchmarks>/fit_scm/seed{seed}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        settings=settings_json(SETTINGS.scm),
        data=subpath(input.dataset, parent=True),
        out=subpath(output.model, parent=True),
        code=lambda wildcards: code_of("scm.fit"),
    message:
        "Fitting the mechanisms of the parents (seed {wildcards.seed})"
    shell:
        "python -m counterfactory fit-scm --settings {params.settings:q} --seed {wildcards.seed}"
        " --data {params.data:q} --out {params.out:q} 2>&1 | tee {log:q}"


rule train_judge:
    input:
        dataset=rules.synthesise.output.dataset,
        images=expand("<results>/data/{split}/images.npy", split=["judges", "test"]),
        attributes=expand("<results>/data/{split}/attributes.parquet", split=["judges", "test"]),
    output:
        model="<results>/models/judges/{variable}/model.safetensors",
        meta="<results>/models/judges/{variable}/model.json",
        curve="<results>/models/judges/{variable}/log.csv",
    log:
        "<logs>/train_judge/{variable}.log",
    benchmark:
        "<benchmarks>/train_judge/{variable}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: SETTINGS.judges.training.threads
    resources:
        mem_mb=with_network("judges", "test"),
        runtime=growing(training_minutes(SETTINGS.judges.training)),
        gpu=GPU,
    params:
        settings=settings_json(SETTINGS.judges, without=["confounded"]),
        data=subpath(input.dataset, parent=True),
        out=subpath(output.model, parent=True),
        device=SETTINGS.device,
        code=lambda wildcards: code_of("models.judges.train"),
    message:
        "Training the judge of {wildcards.variable}"
    shell:
        "python -m counterfactory train-judge {wildcards.variable} --settings {params.settings:q}"
        " --data {params.data:q} --out {params.out:q} --device {params.device} 2>&1 | tee {log:q}"


# A killed training goes on from the state it keeps beside its outputs, which is no output itself.
rule train:
    input:
        dataset=rules.synthesise.output.dataset,
        images=expand("<results>/data/{split}/images.npy", split=["train", "valid"]),
        attributes=expand("<results>/data/{split}/attributes.parquet", split=["train", "valid"]),
    output:
        model="<results>/models/{model}/seed{seed}/model.safetensors",
        meta="<results>/models/{model}/seed{seed}/model.json",
        curve="<results>/models/{model}/seed{seed}/log.csv",
    log:
        "<logs>/train/{model}/seed{seed}.log",
    benchmark:
        "<benchmarks>/train/{model}/seed{seed}.jsonl"
    # The longest work of all: nothing should make it wait.
    priority: 10
    conda:
        "../../envs/counterfactory.yaml"
    threads: lambda wildcards: getattr(SETTINGS.models, wildcards.model).training.threads
    resources:
        mem_mb=with_network("train", "valid"),
        runtime=growing(
            lambda wildcards: training_minutes(getattr(SETTINGS.models, wildcards.model).training)
        ),
        gpu=GPU,
    params:
        settings=lambda wildcards: settings_json(getattr(SETTINGS.models, wildcards.model)),
        data=subpath(input.dataset, parent=True),
        out=subpath(output.model, parent=True),
        device=SETTINGS.device,
        code=lambda wildcards: code_of(TRAINERS[wildcards.model]),
    message:
        "Training {wildcards.model} (seed {wildcards.seed})"
    shell:
        "python -m counterfactory train {wildcards.model} --settings {params.settings:q} --seed {wildcards.seed}"
        " --data {params.data:q} --out {params.out:q} --device {params.device} 2>&1 | tee {log:q}"


rule train_classifier:
    input:
        dataset=rules.synthesise.output.dataset,
        images=expand("<results>/data/{split}/images.npy", split=["train", "valid", "test"]),
        attributes=expand("<results>/data/{split}/attributes.parquet", split=["train", "valid", "test"]),
    output:
        model="<results>/models/classifier/seed{seed}/model.safetensors",
        meta="<results>/models/classifier/seed{seed}/model.json",
        curve="<results>/models/classifier/seed{seed}/log.csv",
    log:
        "<logs>/train_classifier/seed{seed}.log",
    benchmark:
        "<benchmarks>/train_classifier/seed{seed}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: SETTINGS.models.classifier.training.threads
    resources:
        mem_mb=with_network("train", "valid", "test"),
        runtime=growing(training_minutes(SETTINGS.models.classifier.training)),
        gpu=GPU,
    params:
        settings=settings_json(SETTINGS.models.classifier),
        attributes=ATTRIBUTES,
        data=subpath(input.dataset, parent=True),
        out=subpath(output.model, parent=True),
        device=SETTINGS.device,
        code=lambda wildcards: code_of("models.classifier.train"),
    message:
        "Training the classifier under observation (seed {wildcards.seed})"
    shell:
        "python -m counterfactory train classifier --settings {params.settings:q} --attributes {params.attributes:q}"
        " --seed {wildcards.seed} --data {params.data:q} --out {params.out:q} --device {params.device}"
        " 2>&1 | tee {log:q}"


rule train_oracle:
    input:
        dataset=rules.synthesise.output.dataset,
        images=expand("<results>/data/{split}/images.npy", split=["judges", "test"]),
        attributes=expand("<results>/data/{split}/attributes.parquet", split=["judges", "test"]),
    output:
        model="<results>/models/oracle/model.safetensors",
        meta="<results>/models/oracle/model.json",
        curve="<results>/models/oracle/log.csv",
    log:
        "<logs>/train_oracle.log",
    benchmark:
        "<benchmarks>/train_oracle.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: SETTINGS.oracle.training.threads
    resources:
        mem_mb=with_network("judges", "test"),
        runtime=growing(training_minutes(SETTINGS.oracle.training)),
        gpu=GPU,
    params:
        settings=settings_json(SETTINGS.oracle),
        attributes=ATTRIBUTES,
        data=subpath(input.dataset, parent=True),
        out=subpath(output.model, parent=True),
        device=SETTINGS.device,
        code=lambda wildcards: code_of("models.classifier.train"),
    message:
        "Training the oracle"
    shell:
        "python -m counterfactory train-oracle --settings {params.settings:q} --attributes {params.attributes:q}"
        " --data {params.data:q} --out {params.out:q} --device {params.device} 2>&1 | tee {log:q}"


# A published network is fetched instead.
if "identity" not in PRETRAINED:

    rule train_identity:
        input:
            dataset=rules.synthesise.output.dataset,
            images="<results>/data/judges/images.npy",
            attributes="<results>/data/judges/attributes.parquet",
        output:
            model="<results>/models/identity/model.safetensors",
            meta="<results>/models/identity/model.json",
            curve="<results>/models/identity/log.csv",
        log:
            "<logs>/train_identity.log",
        benchmark:
            "<benchmarks>/train_identity.jsonl"
        conda:
            "../../envs/counterfactory.yaml"
        threads: SETTINGS.identity.training.threads
        resources:
            mem_mb=with_network("judges"),
            runtime=growing(training_minutes(SETTINGS.identity.training)),
            gpu=GPU,
        params:
            settings=settings_json(SETTINGS.identity),
            data=subpath(input.dataset, parent=True),
            out=subpath(output.model, parent=True),
            device=SETTINGS.device,
            code=lambda wildcards: code_of("models.identity.train"),
        message:
            "Training the identity embedding"
        shell:
            "python -m counterfactory train-identity --settings {params.settings:q} --data {params.data:q}"
            " --out {params.out:q} --device {params.device} 2>&1 | tee {log:q}"


# Weights that others trained. No code hash: they are held to known values, whatever the code.
rule fetch_weights:
    output:
        model="<results>/models/{pretrained}/model.safetensors",
        meta="<results>/models/{pretrained}/model.json",
    log:
        "<logs>/fetch_weights/{pretrained}.log",
    benchmark:
        "<benchmarks>/fetch_weights/{pretrained}.jsonl"
    # Where the network is: nodes of a cluster often have none.
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        network=lambda wildcards: PRETRAINED[wildcards.pretrained].network,
        source=lambda wildcards: PRETRAINED[wildcards.pretrained].source,
        # A file that is missing stops nothing but what asks for it, and is read when it appears.
        given=lambda wildcards: weights_there(wildcards.pretrained),
        out=subpath(output.model, parent=True),
    message:
        "Fetching the weights of {wildcards.pretrained}"
    shell:
        "python -m counterfactory weights {params.network} --source {params.source:q} --optional --out {params.out:q}"
        " 2>&1 | tee {log:q}"
