"""Questions: one table a suite, the same for every method."""


rule ask:
    input:
        dataset=rules.synthesise.output.dataset,
        train="<results>/data/train/attributes.parquet",
        test="<results>/data/test/attributes.parquet",
    output:
        "<results>/questions/{suite}.parquet",
    log:
        "<logs>/ask/{suite}.log",
    benchmark:
        "<benchmarks>/ask/{suite}.jsonl"
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=lambda wildcards: settings_file(SETTINGS.questions, "seed", wildcards.suite),
        data=subpath(input.dataset, parent=True),
        # Thresholds decide about one suite; the others are not asked again when one moves.
        attributes=lambda wildcards: ([f"--attributes={attributes_file()}"] if wildcards.suite == "flip" else []),
        code=lambda wildcards: code_of(
            f"questions.{wildcards.suite}" if wildcards.suite in ("flip", "sweep") else "questions.interventions"
        ),
    message:
        "Asking: the questions of suite {wildcards.suite}"
    shell:
        "python -m counterfactory ask {wildcards.suite} --settings {params.settings:q} {params.attributes:q}"
        " --data {params.data:q} --out {output:q} 2>&1 | tee {log:q}"
