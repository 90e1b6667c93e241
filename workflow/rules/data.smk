"""Data: the digits of MNIST, and the images, attributes and splits of the data set."""

from counterfactory.config.data import unread_keys
from counterfactory.data.own_images import listing
from counterfactory.data.registry import described
from counterfactory.data.variable import SPLITS


# Without a code hash: the checksums of MNIST determine the output, independent of source and code.
rule digits:
    output:
        images="<results>/data/digits/images.npy",
        labels="<results>/data/digits/labels.npy",
    log:
        "<logs>/digits.log",
    benchmark:
        "<benchmarks>/digits.jsonl"
    # On the submitting machine: the nodes of a cluster often have no network.
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
        "Fetching the digits of MNIST"
    shell:
        "python -m counterfactory digits --source {params.source:q} --out {params.out:q} 2>&1 | tee {log:q}"


rule synthesise:
    input:
        digits=[rules.digits.output.images, rules.digits.output.labels] if DATASET.digits else [],
        files=list(DATASET.inputs),
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
    # At most; no image depends on the number of threads.
    threads: 8
    resources:
        mem_mb=growing(2000 + images_mb("train", "valid", "judges", "test")),
        runtime=growing(30 + sum(getattr(SETTINGS.data, split, 0) for split in SPLITS) / 1000),
    params:
        dataset=SETTINGS.dataset,
        settings=settings_file(SETTINGS.data, without=["digits", *unread_keys(SETTINGS.dataset)]),
        # The registry is not part of the code hash.
        declaration=json.dumps(
            [described(one) for one in (*DATASET.variables, *DATASET.labels)] + list(DATASET.edges)
        ),
        images=lambda wildcards: listing(DATASET.images),
        confounded=json.dumps(SETTINGS.judges.confounded),
        out=subpath(output.dataset, parent=True),
        code=lambda wildcards: code_of(f"{dataset_module(SETTINGS.dataset)}:synthesise"),
    message:
        f"Generating the images, attributes and splits of {SETTINGS.dataset}"
    shell:
        "python -m counterfactory synthesise --dataset {params.dataset} --settings {params.settings:q}"
        " --confounded {params.confounded} --digits {params.out:q}/digits --out {params.out:q} --threads {threads} 2>&1 | tee {log:q}"
