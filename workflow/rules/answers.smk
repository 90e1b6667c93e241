"""Answers: the counterfactual images of each method, one job per chunk of a suite's questions."""


rule answer:
    input:
        dataset=rules.synthesise.output.dataset,
        # Taken from the rule: with file names Snakemake would search for the rule once per chunk.
        images=rules.synthesise.output.images[SPLITS.index("test")],
        attributes=rules.synthesise.output.attributes[SPLITS.index("test")],
        questions="<results>/questions/{suite}.parquet",
        models=quick(models_used),
    output:
        images="<results>/answers/{method}/seed{seed}/{suite}/{chunk}.npy",
        table="<results>/answers/{method}/seed{seed}/{suite}/{chunk}.parquet",
        cost="<results>/answers/{method}/seed{seed}/{suite}/{chunk}.cost.json",
    log:
        "<logs>/answer/{method}/seed{seed}/{suite}/{chunk}.log",
    benchmark:
        "<benchmarks>/answer/{method}/seed{seed}/{suite}/{chunk}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: 1
    resources:
        mem_mb=growing(answering_mb),
        runtime=growing(answering_minutes),
        gpu=lambda wildcards: GPU if METHODS[wildcards.method].models else 0,
    params:
        # One param instead of three: Snakemake's planning time grows with the params of every chunk.
        step=quick(lambda wildcards: answer_params(wildcards.method)),
        folder=subpath(input.dataset, ancestor=2),
    message:
        "Answering: {wildcards.method} (seed {wildcards.seed}), {wildcards.suite}, questions {wildcards.chunk}"
    shell:
        "python -m counterfactory answer {wildcards.method} {wildcards.suite} {wildcards.chunk}"
        " --settings {params.step[settings]:q} --seed {wildcards.seed} --device {params.step[device]} --threads {threads}"
        " --data {params.folder:q}/data --models {params.folder:q}/models --questions {input.questions:q}"
        " --out {params.folder:q}/answers/{wildcards.method}/seed{wildcards.seed}/{wildcards.suite}"
        " 2>&1 | tee {log:q}"
