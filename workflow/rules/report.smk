"""Tables, figures, and the page that shows both. Each table and figure is an output of its own."""

from counterfactory.report.names import figure_names, table_names

JUDGES_META = expand("<results>/models/judges/{variable}/model.json", variable=USED_JUDGES)
JUDGES_CURVES = expand("<results>/models/judges/{variable}/log.csv", variable=USED_JUDGES)
MODELS_META = expand("<results>/models/{model}/seed{seed}/model.json", model=USED_MODELS, seed=SETTINGS.seeds)
MODELS_CURVES = expand("<results>/models/{model}/seed{seed}/log.csv", model=USED_MODELS, seed=SETTINGS.seeds)
IDENTITY_USED = any("identity" in METRICS[name].models for name in USED_METRICS)
IDENTITY_META = ["<results>/models/identity/model.json"] if IDENTITY_USED else []
SCM_META = expand("<results>/models/scm/seed{seed}/model.json", seed=SCM_SEEDS)

TABLES = table_names(SETTINGS, ASKED, USED_METRICS, QUERIES, bool(DRAWN))
FIGURES = figure_names(SETTINGS, ASKED, USED_METRICS, QUERIES, bool(DRAWN))


rule tables:
    input:
        scores=rules.summarise.output.scores,
        pooled=rules.summarise.output.pooled,
        dataset=rules.synthesise.output.dataset,
        judges=JUDGES_META,
        scm=SCM_META,
        models=MODELS_META,
        identity=IDENTITY_META,
        # A function, because Snakemake hashes a list once per member, which is quadratic in the number of chunks.
        costs=costs_of_answers,
        queries=QUERY_SCORES,
        structure=STRUCTURE,
    output:
        index="<results>/tables/index.json",
        costs=[f"<results>/tables/{name}.json" for name in ("cost", "explanations_cost") if name in TABLES],
        csv=[
            report(
                f"<results>/tables/{name}.csv",
                caption="../report/table.rst",
                category="Tables",
                labels={"table": name},
            )
            for name in TABLES
        ],
        formatted=expand("<results>/tables/{table}.{kind}", table=TABLES, kind=["md", "tex"]),
    log:
        "<logs>/tables.log",
    benchmark:
        "<benchmarks>/tables.jsonl"
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    params:
        settings=settings_file(SETTINGS.scores.bootstrap, "level"),
        data=subpath(input.dataset, parent=True),
        # Folders of chunks, because thousands of files exceed the length of a command line.
        costs=lambda wildcards, input: sorted({os.path.dirname(path) for path in input.costs}),
        names=TABLES,
        out=subpath(output.index, parent=True),
        code=lambda wildcards: code_of("report.tables:write_tables", "methods.registry"),
    message:
        "Writing the tables"
    shell:
        "python -m counterfactory tables --settings {params.settings:q} --scores {input.scores:q} --data {params.data:q}"
        " --judges {input.judges:q} --scm {input.scm:q} --models {input.models:q} --identity {input.identity:q}"
        " --costs {params.costs:q} --queries {input.queries:q} --structure {input.structure:q}"
        " --names {params.names:q} --out {params.out:q} 2>&1 | tee {log:q}"


rule figures:
    input:
        scores=rules.summarise.output.scores,
        pooled=rules.summarise.output.pooled,
        dataset=rules.synthesise.output.dataset,
        images="<results>/data/test/images.npy",
        rows=rules.summarise.input,
        questions=expand("<results>/questions/{suite}.parquet", suite=ASKED),
        judges=JUDGES_META,
        curves=JUDGES_CURVES + MODELS_CURVES,
        costs=costs_of_answers,
        queries=QUERY_SCORES,
        structure=STRUCTURE,
        # The answers that figures show; those of the floor are the factual images.
        answers=[
            answers
            for method in SETTINGS.methods
            if method != "copy"
            for suite in ("sweep", "flip")
            if suite in ASKED
            for answers in answers_of(method, seeds_of(method)[0], [suite])
        ],
    output:
        index="<results>/figures/index.json",
        png=[
            report(
                f"<results>/figures/{name}.png",
                caption="../report/figure.rst",
                category="Figures",
                labels={"figure": name},
            )
            for name in FIGURES
        ],
        svg=expand("<results>/figures/{figure}.svg", figure=FIGURES),
        # The panels of each figure, which the page embeds.
        panels=[directory(f"<results>/figures/{name}") for name in FIGURES],
    log:
        "<logs>/figures.log",
    benchmark:
        "<benchmarks>/figures.jsonl"
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        data=subpath(input.dataset, parent=True),
        folder=subpath(input.dataset, ancestor=2),
        costs=lambda wildcards, input: sorted({os.path.dirname(path) for path in input.costs}),
        names=FIGURES,
        out=subpath(output.index, parent=True),
        code=lambda wildcards: code_of("report.figures:write_figures", "methods.registry"),
    message:
        "Drawing the figures"
    shell:
        "python -m counterfactory figures --scores {input.scores:q} --rows {input.rows:q}"
        " --questions {params.folder:q}/questions --answers {params.folder:q}/answers --data {params.data:q}"
        " --judges {input.judges:q} --logs {input.curves:q} --costs {params.costs:q}"
        " --queries {input.queries:q} --structure {input.structure:q} --names {params.names:q} --out {params.out:q}"
        " 2>&1 | tee {log:q}"


rule report:
    input:
        tables=rules.tables.output,
        figures=rules.figures.output,
    output:
        page=report(
            "<results>/report.html",
            caption="../report/page.rst",
            category="Page",
            labels={"page": "all tables and figures"},
        ),
        front=f"{SETTINGS.results}/report.html",
    log:
        "<logs>/report.log",
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    params:
        settings=settings_file(SETTINGS),
        folder=subpath(output.page, parent=True),
        code=lambda wildcards: code_of("report.html:write_report", "methods.registry"),
    message:
        "Writing the report"
    shell:
        "(python -m counterfactory report --settings {params.settings:q} --tables {params.folder:q}/tables"
        " --figures {params.folder:q}/figures --benchmarks {params.folder:q}/benchmarks --out {output.page:q}"
        " && cp {output.page:q} {output.front:q}) 2>&1 | tee {log:q}"
