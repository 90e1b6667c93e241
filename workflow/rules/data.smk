"""Data: MNIST's digits, and the images, attributes and splits made of them."""

SPLITS = ["train", "valid", "judges", "test"]


# No code hash: whatever the source and the code, the digits are held to MNIST's checksums.
rule digits:
    output:
        images="<results>/data/digits/images.npy",
        labels="<results>/data/digits/labels.npy",
    log:
        "<logs>/digits.log",
    benchmark:
        "<benchmarks>/digits.jsonl"
    # Where the network is: nodes of a cluster often have none.
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        # A function, since {word} in a plain text would be read as a wildcard.
        source=lambda wildcards: SETTINGS.data.digits,
        out=subpath(output.images, parent=True),
    message:
        "Fetching MNIST's digits"
    shell:
        "python -m counterfactory digits --source {params.source:q} --out {params.out:q} 2>&1 | tee {log:q}"


rule synthesise:
    input:
        digits=[rules.digits.output.images, rules.digits.output.labels] if DATASET.digits else [],
    output:
        dataset="<results>/data/dataset.json",
        images=expand("<results>/data/{split}/images.npy", split=SPLITS),
        attributes=expand("<results>/data/{split}/attributes.parquet", split=SPLITS),
        files=expand("<results>/data/{file}", file=DATASET.files),
    log:
        "<logs>/synthesise.log",
    benchmark:
        "<benchmarks>/synthesise.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    # Or all there are: no image depends on how many work.
    threads: 8
    resources:
        mem_mb=growing(2000 + images_mb("train", "valid", "judges", "test")),
        runtime=growing(30 + sum(getattr(SETTINGS.data, split, 0) for split in SPLITS) / 1000),
    params:
        dataset=SETTINGS.dataset,
        settings=settings_file(SETTINGS.data, without=["digits"]),
        confounded=json.dumps(SETTINGS.judges.confounded),
        out=subpath(output.dataset, parent=True),
        code=lambda wildcards: code_of(f"data.{SETTINGS.dataset}"),
    message:
        f"Making the images, attributes and splits of {SETTINGS.dataset}"
    shell:
        "python -m counterfactory synthesise --dataset {params.dataset} --settings {params.settings:q}"
        " --confounded {params.confounded} --digits {params.out:q}/digits --out {params.out:q} --threads {threads} 2>&1 | tee {log:q}"
