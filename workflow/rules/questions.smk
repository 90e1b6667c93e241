"""Questions: one table per suite, the same for every method."""


rule questions:
    input:
        dataset=rules.synthesise.output.dataset,
        train="<results>/data/train/attributes.parquet",
        test="<results>/data/test/attributes.parquet",
    output:
        "<results>/questions/{suite}.parquet",
    log:
        "<logs>/questions/{suite}.log",
    benchmark:
        "<benchmarks>/questions/{suite}.jsonl"
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=lambda wildcards: settings_file(SETTINGS.questions, "seed", wildcards.suite),
        data=subpath(input.dataset, parent=True),
        # Only suites of attributes depend on their thresholds; a changed threshold does not rerun the others.
        attributes=lambda wildcards: (
            [f"--attributes={attributes_file()}"] if SUITES[wildcards.suite].attributes else []
        ),
        code=lambda wildcards: code_of(f"{SUITES[wildcards.suite].module}:write_questions"),
    message:
        "Writing the questions of suite {wildcards.suite}"
    shell:
        "python -m counterfactory questions {wildcards.suite} --settings {params.settings:q} {params.attributes:q}"
        " --data {params.data:q} --out {output:q} 2>&1 | tee {log:q}"
