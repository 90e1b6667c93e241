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
    conda:
        "../../envs/counterfactory.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: settings_json(SETTINGS.questions, "seed", wildcards.suite),
        data=subpath(input.dataset, parent=True),
        code=code_hash("questions"),
    message:
        "Asking: the questions of suite {wildcards.suite}"
    shell:
        "python -m counterfactory ask {wildcards.suite} --settings {params.settings:q} --data {params.data:q}"
        " --out {output:q} 2>&1 | tee {log:q}"
