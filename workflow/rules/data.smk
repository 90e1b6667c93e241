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
    conda:
        "../../envs/counterfactory.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        source=SETTINGS.data.digits,
        out=subpath(output.images, parent=True),
    message:
        "Fetching MNIST's digits"
    shell:
        "python -m counterfactory digits --source {params.source:q} --out {params.out:q} 2>&1 | tee {log:q}"


rule synthesise:
    input:
        images=rules.digits.output.images,
        labels=rules.digits.output.labels,
    output:
        dataset="<results>/data/dataset.json",
        images=expand("<results>/data/{split}/images.npy", split=SPLITS),
        attributes=expand("<results>/data/{split}/attributes.parquet", split=SPLITS),
        idx=expand(
            "<results>/data/idx/{part}-{kind}",
            part=["train", "t10k"],
            kind=["images-idx3-ubyte.gz", "labels-idx1-ubyte.gz", "morpho.csv"],
        ),
    log:
        "<logs>/synthesise.log",
    benchmark:
        "<benchmarks>/synthesise.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    # All there are: no image depends on how many work.
    threads: workflow.cores or 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=settings_json(SETTINGS.data, without=["digits"]),
        confounded=json.dumps(SETTINGS.judges.confounded),
        digits=subpath(input.images, parent=True),
        out=subpath(output.dataset, parent=True),
        code=code_hash("data.morphomnist"),
    message:
        "Making the images, attributes and splits of Morpho-MNIST"
    shell:
        "python -m counterfactory synthesise --settings {params.settings:q} --confounded {params.confounded}"
        " --digits {params.digits:q} --out {params.out:q} --threads {threads} 2>&1 | tee {log:q}"
