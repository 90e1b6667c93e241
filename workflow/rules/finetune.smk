"""Fine-tuning on counterfactuals: an optional branch, there only if a method asks a model `<name>_ft`."""


# Not the judges: what a method learns from must not score it.
rule train_predictor:
    input:
        dataset=rules.synthesise.output.dataset,
        images=expand("<results>/data/{split}/images.npy", split=["train", "test"]),
        attributes=expand("<results>/data/{split}/attributes.parquet", split=["train", "test"]),
    output:
        model="<results>/models/predictors/{variable}/model.safetensors",
        meta="<results>/models/predictors/{variable}/model.json",
        curve="<results>/models/predictors/{variable}/log.csv",
    log:
        "<logs>/train_predictor/{variable}.log",
    benchmark:
        "<benchmarks>/train_predictor/{variable}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: SETTINGS.judges.training.threads
    resources:
        mem_mb=with_network("train", "test"),
        runtime=growing(training_minutes(SETTINGS.judges.training)),
        gpu=GPU,
    params:
        settings=settings_json(SETTINGS.judges, without=["confounded"]),
        data=subpath(input.dataset, parent=True),
        out=subpath(output.model, parent=True),
        device=SETTINGS.device,
        code=lambda wildcards: code_of("models.judges.train"),
    message:
        "Training the predictor of {wildcards.variable} that models are fine-tuned by"
    shell:
        "python -m counterfactory train-predictor {wildcards.variable} --settings {params.settings:q}"
        " --data {params.data:q} --out {params.out:q} --device {params.device} 2>&1 | tee {log:q}"


rule finetune:
    input:
        dataset=rules.synthesise.output.dataset,
        images=expand("<results>/data/{split}/images.npy", split=["train", "valid"]),
        attributes=expand("<results>/data/{split}/attributes.parquet", split=["train", "valid"]),
        start="<results>/models/{base}/seed{seed}/model.safetensors",
        scm="<results>/models/scm/seed{seed}/model.safetensors",
        predictors=expand("<results>/models/predictors/{variable}/model.safetensors", variable=VARIABLES),
    output:
        model="<results>/models/{base}_ft/seed{seed}/model.safetensors",
        meta="<results>/models/{base}_ft/seed{seed}/model.json",
        curve="<results>/models/{base}_ft/seed{seed}/log.csv",
    log:
        "<logs>/finetune/{base}/seed{seed}.log",
    benchmark:
        "<benchmarks>/finetune/{base}/seed{seed}.jsonl"
    priority: 10
    conda:
        "../../envs/counterfactory.yaml"
    threads: lambda wildcards: getattr(SETTINGS.models, f"{wildcards.base}_ft").training.threads
    resources:
        mem_mb=with_network("train", "valid"),
        runtime=growing(1440),
        gpu=GPU,
    params:
        settings=lambda wildcards: settings_json(getattr(SETTINGS.models, f"{wildcards.base}_ft")),
        data=subpath(input.dataset, parent=True),
        start=subpath(input.start, parent=True),
        scm=subpath(input.scm, parent=True),
        models=subpath(input.start, ancestor=3),
        out=subpath(output.model, parent=True),
        device=SETTINGS.device,
        code=lambda wildcards: code_of("models.image.finetune"),
    message:
        "Fine-tuning {wildcards.base} on counterfactuals (seed {wildcards.seed})"
    shell:
        "python -m counterfactory finetune {wildcards.base} --settings {params.settings:q} --seed {wildcards.seed}"
        " --data {params.data:q} --start {params.start:q} --scm {params.scm:q}"
        " --predictors {params.models:q}/predictors --out {params.out:q} --device {params.device} 2>&1 | tee {log:q}"
