"""Marks: each metric marks each method's answers; one tidy table gathers all."""


rule mark:
    input:
        dataset=rules.synthesise.output.dataset,
        test=["<results>/data/test/images.npy", "<results>/data/test/attributes.parquet"],
        questions=lambda wildcards: [
            f"<results>/questions/{suite}.parquet" for suite in marked_suites(wildcards.metric)
        ],
        answers=lambda wildcards: answers_of(
            wildcards.method, wildcards.seed, marked_suites(wildcards.metric)
        ),
        truth=truth_compared,
        judges=judges_asked,
        weights=weights_needed,
    output:
        "<results>/marks/{method}/seed{seed}/{metric}.parquet",
    log:
        "<logs>/mark/{method}/seed{seed}/{metric}.log",
    benchmark:
        "<benchmarks>/mark/{method}/seed{seed}/{metric}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
        gpu=lambda wildcards: (
            GPU if METRICS[wildcards.metric].judges or METRICS[wildcards.metric].weights else 0
        ),
    params:
        settings=metric_settings,
        data=subpath(input.dataset, parent=True),
        folder=subpath(input.dataset, ancestor=2),
        weights=lambda wildcards, input: [f"--weights={Path(path).parent}" for path in input.weights],
        device=SETTINGS.device,
        code=lambda wildcards: code_hash("metrics", f"metrics.{wildcards.metric}"),
    message:
        "Marking: {wildcards.method} (seed {wildcards.seed}), {wildcards.metric}"
    shell:
        "python -m counterfactory mark {wildcards.metric} {wildcards.method} --settings {params.settings:q}"
        " --seed {wildcards.seed} --data {params.data:q} --questions {input.questions:q}"
        " --answers {params.folder:q}/answers/{wildcards.method}/seed{wildcards.seed}"
        " --truth {params.folder:q}/answers/truth/seed0 --judges {params.folder:q}/models/judges"
        " {params.weights:q} --out {output:q} --device {params.device} --threads {threads} 2>&1 | tee {log:q}"


rule summarise:
    input:
        [
            f"<results>/marks/{method}/seed{seed}/{metric}.parquet"
            for method in SETTINGS.methods
            for seed in seeds_of(method)
            for metric in USED_METRICS
        ],
    output:
        "<results>/marks/marks.csv",
    log:
        "<logs>/summarise.log",
    benchmark:
        "<benchmarks>/summarise.jsonl"
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    params:
        settings=settings_json(SETTINGS.marks.bootstrap),
        code=code_hash("metrics.summary"),
    message:
        "Gathering all marks"
    shell:
        "python -m counterfactory summarise {input:q} --settings {params.settings:q} --out {output:q} 2>&1 | tee {log:q}"
