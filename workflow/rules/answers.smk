"""Answers: each method's images, a chunk of a suite's questions a job."""


rule answer:
    input:
        dataset=rules.synthesise.output.dataset,
        # By their rule, not by their names: Snakemake would look for who makes them, chunk by chunk.
        images=rules.synthesise.output.images[SPLITS.index("test")],
        attributes=rules.synthesise.output.attributes[SPLITS.index("test")],
        questions="<results>/questions/{suite}.parquet",
        models=quick(models_asked),
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
        # The chunk's size is a matter of speed, and is in the chunk's name already; other methods' sections are theirs.
        settings=quick(lambda wildcards: answer_settings(wildcards.method)),
        data=subpath(input.dataset, parent=True),
        models=subpath(input.dataset, ancestor=2),
        out=subpath(output.images, parent=True),
        device=quick(lambda wildcards: SETTINGS.device if METHODS[wildcards.method].models else "cpu"),
        code=quick(lambda wildcards: code_of("answers", f"methods.{wildcards.method}")),
    message:
        "Answering: {wildcards.method} (seed {wildcards.seed}), {wildcards.suite}, questions {wildcards.chunk}"
    shell:
        "python -m counterfactory answer {wildcards.method} {wildcards.suite} {wildcards.chunk}"
        " --settings {params.settings:q} --seed {wildcards.seed} --data {params.data:q} --models {params.models:q}/models"
        " --questions {input.questions:q} --out {params.out:q} --device {params.device} --threads {threads}"
        " 2>&1 | tee {log:q}"
