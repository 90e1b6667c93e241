"""Scores of the answers: one job per metric and training seed for all methods, and one tidy table of all scores.

Rules: `score` (command `score`), `reference` (statistics that all methods share, for the metrics that declare
`reference`), `summarise` (the table `scores.csv`). Code: `counterfactory.metrics`.
"""


rule score:
    input:
        dataset=rules.synthesise.output.dataset,
        test=["<results>/data/test/images.npy", "<results>/data/test/attributes.parquet"],
        questions=lambda wildcards: [
            f"<results>/questions/{suite}.parquet"
            for suite in scored_suites(wildcards.metric, *methods_scored(wildcards))
        ],
        answers=lambda wildcards: [
            answer
            for method in methods_scored(wildcards)
            for answer in answers_of(method, wildcards.seed, scored_suites(wildcards.metric))
        ],
        truth=truth_compared,
        judges=judges_used,
        networks=networks_used,
        reference=reference_of,
    output:
        "<results>/scores/{metric}/seed{seed}.parquet",
    log:
        "<logs>/score/{metric}/seed{seed}.log",
    benchmark:
        "<benchmarks>/score/{metric}/seed{seed}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: 1
    resources:
        mem_mb=with_network("test"),
        runtime=growing(scoring_minutes),
        gpu=lambda wildcards: (
            GPU if METRICS[wildcards.metric].judges or METRICS[wildcards.metric].models else 0
        ),
    params:
        settings=metric_settings,
        data=subpath(input.dataset, parent=True),
        folder=subpath(input.dataset, ancestor=2),
        methods=lambda wildcards: methods_scored(wildcards),
        reference=lambda wildcards, input: [f"--reference={path}" for path in input.reference],
        device=lambda wildcards: (
            SETTINGS.device
            if METRICS[wildcards.metric].judges or METRICS[wildcards.metric].models
            else "cpu"
        ),
        code=lambda wildcards: code_of("metrics.run:score", metric_module(wildcards.metric)),
    message:
        "Scoring answers: {wildcards.metric} (seed {wildcards.seed})"
    shell:
        "python -m counterfactory score {wildcards.metric} {params.methods} --settings {params.settings:q}"
        " --seed {wildcards.seed} --data {params.data:q} --questions {input.questions:q}"
        " --answers {params.folder:q}/answers --models {params.folder:q}/models"
        " {params.reference:q} --out {output:q} --device {params.device} --threads {threads} 2>&1 | tee {log:q}"


rule reference:
    input:
        dataset=rules.synthesise.output.dataset,
        images=expand("<results>/data/{split}/images.npy", split=["train", "test"]),
        attributes=expand("<results>/data/{split}/attributes.parquet", split=["train", "test"]),
        questions=lambda wildcards: [
            f"<results>/questions/{suite}.parquet" for suite in scored_suites(wildcards.metric)
        ],
        networks=lambda wildcards: [path for path in networks_used(wildcards) if "/classifier/" not in path],
    output:
        "<results>/scores/reference/{metric}.safetensors",
    log:
        "<logs>/reference/{metric}.log",
    benchmark:
        "<benchmarks>/reference/{metric}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: 1
    resources:
        mem_mb=with_network("train", "test"),
        runtime=growing(60),
        gpu=GPU,
    params:
        settings=metric_settings,
        data=subpath(input.dataset, parent=True),
        folder=subpath(input.dataset, ancestor=2),
        device=SETTINGS.device,
        code=lambda wildcards: code_of(
            "metrics.run:compute_reference", f"{metric_module(wildcards.metric)}:compute_reference"
        ),
    message:
        "Computing reference statistics: {wildcards.metric}"
    shell:
        "python -m counterfactory reference {wildcards.metric} --settings {params.settings:q} --data {params.data:q}"
        " --models {params.folder:q}/models --questions {input.questions:q} --out {output:q}"
        " --device {params.device} --threads {threads} 2>&1 | tee {log:q}"


rule summarise:
    input:
        [
            f"<results>/scores/{metric}/seed{seed}.parquet"
            for seed in sorted({seed for method in SETTINGS.methods for seed in seeds_of(method)})
            for metric in USED_METRICS
            if scored_suites(metric, *methods_of(seed))
        ],
    output:
        scores="<results>/scores/scores.csv",
        # With several training seeds: means over them, with intervals that cover questions and training.
        pooled=["<results>/scores/pooled.csv"] if len(SETTINGS.seeds) > 1 else [],
    log:
        "<logs>/summarise.log",
    benchmark:
        "<benchmarks>/summarise.jsonl"
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    params:
        settings=settings_file(SETTINGS.scores.bootstrap),
        pooled=lambda wildcards, output: [f"--pooled={path}" for path in output.pooled],
        code=lambda wildcards: code_of("metrics.summary:summarise", "metrics.pooled:pool"),
    message:
        "Summarizing all scores"
    shell:
        "python -m counterfactory summarise {input:q} --settings {params.settings:q} --out {output.scores:q}"
        " {params.pooled:q} 2>&1 | tee {log:q}"
