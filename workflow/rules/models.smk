"""Models: the parents' mechanisms, the judges, the image models, each trained by itself."""


rule fit_parents:
    input:
        dataset=rules.synthesise.output.dataset,
        attributes=expand("<results>/data/{split}/attributes.parquet", split=["train", "valid", "test"]),
    output:
        model="<results>/models/parents/seed{seed}/model.safetensors",
        meta="<results>/models/parents/seed{seed}/model.json",
        curve="<results>/models/parents/seed{seed}/log.csv",
    log:
        "<logs>/fit_parents/seed{seed}.log",
    benchmark:
        "<benchmarks>/fit_parents/seed{seed}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=settings_json(SETTINGS.parents),
        data=subpath(input.dataset, parent=True),
        out=subpath(output.model, parent=True),
        code=code_hash("scm.parents"),
    message:
        "Fitting the mechanisms of the parents (seed {wildcards.seed})"
    shell:
        "python -m counterfactory fit-parents --settings {params.settings:q} --seed {wildcards.seed}"
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
        mem_mb=3000,
        runtime=240,
        gpu=GPU,
    params:
        settings=settings_json(SETTINGS.judges, without=["confounded"]),
        data=subpath(input.dataset, parent=True),
        out=subpath(output.model, parent=True),
        device=SETTINGS.device,
        code=code_hash("metrics.judges"),
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
        mem_mb=4000,
        runtime=2880,
        gpu=GPU,
    params:
        settings=lambda wildcards: settings_json(getattr(SETTINGS.models, wildcards.model)),
        data=subpath(input.dataset, parent=True),
        out=subpath(output.model, parent=True),
        device=SETTINGS.device,
        code=lambda wildcards: code_hash("training.image_mechanism"),
    message:
        "Training {wildcards.model} (seed {wildcards.seed})"
    shell:
        "python -m counterfactory train {wildcards.model} --settings {params.settings:q} --seed {wildcards.seed}"
        " --data {params.data:q} --out {params.out:q} --device {params.device} 2>&1 | tee {log:q}"


rule lpips_weights:
    output:
        model="<results>/models/lpips/{net}/model.safetensors",
        meta="<results>/models/lpips/{net}/model.json",
    log:
        "<logs>/lpips_weights/{net}.log",
    benchmark:
        "<benchmarks>/lpips_weights/{net}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        source=SETTINGS.marks.lpips.weights,
        out=subpath(output.model, parent=True),
    message:
        "Fetching the weights of LPIPS ({wildcards.net})"
    shell:
        "python -m counterfactory weights --net {wildcards.net} --source {params.source:q} --out {params.out:q}"
        " 2>&1 | tee {log:q}"
