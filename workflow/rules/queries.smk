"""Queries: counterfactual queries to generators, their scores, and the causal structure of generated images."""

from counterfactory.config.queries import asked_queries

QUERIES = asked_queries(SETTINGS)
# Queries are answered by generators instead of methods; only generators that are trained have queries.
USED_GENERATORS = sorted({query.generator for query in QUERIES.values()})
DRAWN = USED_GENERATORS if SETTINGS.queries.structure else []
QUERY_SCORES = expand(
    "<results>/queries/seed{seed}/scores/{query}.parquet", query=QUERIES, seed=SETTINGS.seeds
)
STRUCTURE = expand(
    "<results>/queries/seed{seed}/structure/shown.parquet", seed=SETTINGS.seeds if DRAWN else []
)


wildcard_constraints:
    query="|".join(QUERIES) or "none",
    generator="|".join(USED_GENERATORS) or "none",


rule query:
    input:
        dataset=rules.synthesise.output.dataset,
        images=expand("<results>/data/{split}/images.npy", split=["train", "test"]),
        attributes=expand("<results>/data/{split}/attributes.parquet", split=["train", "test"]),
        models=lambda wildcards: generator_models(QUERIES[wildcards.query].generator, wildcards.seed),
    output:
        images="<results>/queries/seed{seed}/{query}.npy",
        table="<results>/queries/seed{seed}/{query}.parquet",
        query="<results>/queries/seed{seed}/{query}.json",
    log:
        "<logs>/query/{query}/seed{seed}.log",
    benchmark:
        "<benchmarks>/query/{query}/seed{seed}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: 1
    resources:
        mem_mb=with_network("train", "test"),
        runtime=growing(60),
        gpu=GPU,
    params:
        settings=lambda wildcards: query_settings(wildcards.query),
        data=subpath(input.dataset, parent=True),
        models=subpath(input.dataset, ancestor=2),
        out=subpath(output.images, parent=True),
        device=SETTINGS.device,
        code=lambda wildcards: code_of("esm.answer:answer_query"),
    message:
        "Answering the query {wildcards.query} (seed {wildcards.seed})"
    shell:
        "python -m counterfactory query {wildcards.query} --settings {params.settings:q} --seed {wildcards.seed}"
        " --data {params.data:q} --models {params.models:q}/models --out {params.out:q} --device {params.device}"
        " --threads {threads} 2>&1 | tee {log:q}"


rule score_query:
    input:
        dataset=rules.synthesise.output.dataset,
        test=["<results>/data/test/images.npy", "<results>/data/test/attributes.parquet"],
        answers=rules.query.output.images,
        tables=[rules.query.output.table, rules.query.output.query],
        oracle="<results>/models/oracle/model.safetensors",
        identity="<results>/models/identity/model.safetensors",
        lpips=f"<results>/models/lpips/{SETTINGS.scores.lpips.net}/model.safetensors",
    output:
        "<results>/queries/seed{seed}/scores/{query}.parquet",
    log:
        "<logs>/score_query/{query}/seed{seed}.log",
    benchmark:
        "<benchmarks>/score_query/{query}/seed{seed}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: 1
    resources:
        mem_mb=with_network("test"),
        runtime=growing(30),
        gpu=GPU,
    params:
        settings=file_of(
            json.dumps(
                SETTINGS.scores.model_dump(
                    mode="json", include={"bootstrap": True, "lpips": {"net"}, "identity": {"threshold"}}
                )
            )
        ),
        data=subpath(input.dataset, parent=True),
        models=subpath(input.dataset, ancestor=2),
        answers=subpath(input.answers, parent=True),
        device=SETTINGS.device,
        code=lambda wildcards: code_of("metrics.queries:score_query"),
    message:
        "Scoring the answers to {wildcards.query} (seed {wildcards.seed})"
    shell:
        "python -m counterfactory score-query {wildcards.query} --settings {params.settings:q} --data {params.data:q}"
        " --models {params.models:q}/models --answers {params.answers:q} --out {output:q} --device {params.device}"
        " --threads {threads} 2>&1 | tee {log:q}"


rule draw:
    input:
        dataset=rules.synthesise.output.dataset,
        attributes="<results>/data/train/attributes.parquet",
        models=lambda wildcards: generator_models(wildcards.generator, wildcards.seed),
    output:
        images="<results>/queries/seed{seed}/structure/{generator}.npy",
        table="<results>/queries/seed{seed}/structure/{generator}.parquet",
    log:
        "<logs>/draw/{generator}/seed{seed}.log",
    conda:
        "../../envs/counterfactory.yaml"
    threads: 1
    resources:
        mem_mb=with_network("test"),
        runtime=growing(15),
        gpu=GPU,
    params:
        settings=query_settings(),
        data=subpath(input.dataset, parent=True),
        models=subpath(input.dataset, ancestor=2),
        out=subpath(output.images, parent=True),
        device=SETTINGS.device,
        code=lambda wildcards: code_of("esm.answer:draw_images"),
    message:
        "Drawing images from {wildcards.generator} (seed {wildcards.seed})"
    shell:
        "python -m counterfactory draw {wildcards.generator} --settings {params.settings:q} --seed {wildcards.seed}"
        " --data {params.data:q} --models {params.models:q}/models --out {params.out:q} --device {params.device}"
        " --threads {threads} 2>&1 | tee {log:q}"


rule structure:
    input:
        dataset=rules.synthesise.output.dataset,
        test=["<results>/data/test/images.npy", "<results>/data/test/attributes.parquet"],
        oracle="<results>/models/oracle/model.safetensors",
        drawn=expand("<results>/queries/seed{{seed}}/structure/{generator}.npy", generator=DRAWN),
    output:
        "<results>/queries/seed{seed}/structure/shown.parquet",
    log:
        "<logs>/structure/seed{seed}.log",
    benchmark:
        "<benchmarks>/structure/seed{seed}.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    threads: 1
    resources:
        mem_mb=with_network("test"),
        runtime=growing(15),
        gpu=GPU,
    params:
        data=subpath(input.dataset, parent=True),
        models=subpath(input.dataset, ancestor=2),
        device=SETTINGS.device,
        code=lambda wildcards: code_of("esm.structure:measure_structure"),
    message:
        "Measuring the causal structure of generated images (seed {wildcards.seed})"
    shell:
        "python -m counterfactory structure --data {params.data:q} --models {params.models:q}/models"
        " --drawn {input.drawn:q} --out {output:q} --device {params.device} --threads {threads} 2>&1 | tee {log:q}"
