"""Tables, figures, and the page that shows both. Each table and figure is an output of its own."""

from counterfactory.config.load import is_default
from counterfactory.report.names import figure_names, table_names
from counterfactory.report.training_spread import checksum, is_released

JUDGES_META = expand("<results>/models/judges/{variable}/model.json", variable=USED_JUDGES)
# An imported model has no training curve.
JUDGES_CURVES = [
    f"<results>/models/judges/{variable}/log.csv"
    for variable in USED_JUDGES
    if f"judges/{variable}" not in IMPORTED
]
MODELS_META = expand("<results>/models/{model}/seed{seed}/model.json", model=USED_MODELS, seed=SETTINGS.seeds)
TRAINED_MODELS = [model for model in USED_MODELS if model not in IMPORTED]
MODELS_CURVES = expand(
    "<results>/models/{model}/seed{seed}/log.csv", model=TRAINED_MODELS, seed=SETTINGS.seeds
)
IDENTITY_USED = any("identity" in METRICS[name].models for name in USED_METRICS)
IDENTITY_META = ["<results>/models/identity/model.json"] if IDENTITY_USED else []
SCM_META = expand("<results>/models/scm/seed{seed}/model.json", seed=SCM_SEEDS)

# Methods whose networks the explorer evaluates.
MECHANISMS = [name for name in SETTINGS.methods if METHODS[name].module == "dscm"]

# One training seed shows no variation over trainings. The release contains that of the default trainings.
SPREAD = (
    len(SETTINGS.seeds) == 1
    and is_released(SETTINGS.dataset)
    and is_default(SETTINGS, "data", "judges", "models")
)
TABLES = table_names(SETTINGS, ASKED, USED_METRICS, QUERIES, bool(DRAWN), SPREAD)
FIGURES = figure_names(SETTINGS, ASKED, USED_METRICS, QUERIES, bool(DRAWN))


# The resolved configuration, from which `counterfactory.load` reads how the methods answer. No other step than the page
# depends on it: each has a file of its own in the folder settings, which is named by its content.
rule settings:
    # Without an input, `snakemake --touch` would not record the parameters, and a later change would go unnoticed.
    input:
        rules.synthesise.output.dataset,
    output:
        "<results>/settings.json",
    log:
        "<logs>/settings.log",
    priority: 1
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    params:
        settings=settings_file(SETTINGS),
    message:
        "Writing the settings"
    shell:
        "python -m counterfactory settings --config {params.settings:q} --out {output:q} 2>&1 | tee {log:q}"


rule tables:
    input:
        scores=rules.summarise.output.scores,
        pooled=rules.summarise.output.pooled,
        dataset=rules.synthesise.output.dataset,
        judges=JUDGES_META,
        scm=SCM_META,
        models=MODELS_META,
        identity=IDENTITY_META,
        rows=rules.summarise.input,
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
        released=checksum(SETTINGS.dataset) if SPREAD else "",
        out=subpath(output.index, parent=True),
        code=lambda wildcards: code_of("report.tables:write_tables", "methods.registry"),
    message:
        "Writing the tables"
    shell:
        "python -m counterfactory tables --settings {params.settings:q} --scores {input.scores:q}"
        " --pooled {input.pooled:q} --data {params.data:q}"
        " --judges {input.judges:q} --scm {input.scm:q} --models {input.models:q} --identity {input.identity:q}"
        " --rows {input.rows:q} --costs {params.costs:q} --queries {input.queries:q} --structure {input.structure:q}"
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
        "python -m counterfactory figures --scores {input.scores:q} --pooled {input.pooled:q} --rows {input.rows:q}"
        " --questions {params.folder:q}/questions --answers {params.folder:q}/answers --data {params.data:q}"
        " --judges {input.judges:q} --logs {input.curves:q} --costs {params.costs:q}"
        " --queries {input.queries:q} --structure {input.structure:q} --names {params.names:q} --out {params.out:q}"
        " 2>&1 | tee {log:q}"


# The runtime of networks in a browser. Without a network the file holds the reason, and the explorer says it.
rule fetch_runtime:
    output:
        "<results>/models/onnxruntime_web.json",
    log:
        "<logs>/fetch_runtime.log",
    # Cluster nodes often have no internet access.
    localrule: True
    conda:
        "../../envs/counterfactory.yaml"
    message:
        "Fetching the runtime of networks in a browser"
    shell:
        "python -m counterfactory runtime --out {output:q} 2>&1 | tee {log:q}"


# The training seed whose models the explorer evaluates; it lists the answers of all seeds.
EXPLORED = SETTINGS.seeds[0]


rule explorer:
    input:
        runtime=rules.fetch_runtime.output,
        dataset=rules.synthesise.output.dataset,
        images="<results>/data/test/images.npy",
        questions=expand("<results>/questions/{suite}.parquet", suite=ASKED),
        train=[f"<results>/data/train/{file}" for file in ("images.npy", "attributes.parquet")],
        rows=rules.summarise.input,
        queries=expand("<results>/queries/seed{seed}/{query}.json", query=QUERIES, seed=SETTINGS.seeds),
        queried=expand(
            "<results>/queries/seed{seed}/{query}.{kind}",
            query=QUERIES,
            seed=SETTINGS.seeds,
            kind=["npy", "parquet"],
        ),
        judges=expand("<results>/models/judges/{variable}/model.safetensors", variable=USED_JUDGES),
        models=expand(
            "<results>/models/{model}/seed{seed}/model.safetensors",
            seed=EXPLORED,
            model=sorted({model for name in MECHANISMS for model in [*METHODS[name].models, "scm"]}),
        ),
        answers=[
            answers
            for method in SETTINGS.methods
            if method != "copy"
            for seed in seeds_of(method)
            for answers in answers_of(method, seed, [suite for suite in ASKED if suite != "sweep"])
        ],
    output:
        page=report(
            "<results>/explorer.html",
            caption="../report/explorer.rst",
            category="Page",
            labels={"page": "explorer"},
        ),
    log:
        "<logs>/explorer.log",
    benchmark:
        "<benchmarks>/explorer.jsonl"
    conda:
        "../../envs/counterfactory.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        settings=settings_file(SETTINGS.answers, without=["chunk_size", "chunks", "vgg19_weights"]),
        methods=SETTINGS.methods,
        seed=EXPLORED,
        seeds=SETTINGS.seeds,
        folder=subpath(output.page, parent=True),
        code=lambda wildcards: code_of(
            "report.explorer.page:write_explorer",
            "methods.dscm:load",
            "methods.truth:load",
            "methods.registry",
        ),
    message:
        "Writing the explorer"
    shell:
        "python -m counterfactory explorer --settings {params.settings:q} --methods {params.methods:q}"
        " --seed {params.seed} --seeds {params.seeds} --queries {input.queries:q}"
        " --data {params.folder:q}/data --models {params.folder:q}/models --questions {params.folder:q}/questions"
        " --answers {params.folder:q}/answers --rows {input.rows:q} --runtime {input.runtime:q}"
        " --out {output.page:q} 2>&1 | tee {log:q}"


rule report:
    input:
        settings=rules.settings.output,
        tables=rules.tables.output,
        figures=rules.figures.output,
        attributes=rules.synthesise.output.attributes,
        files=rules.synthesise.output.files,
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
        folder=subpath(output.page, parent=True),
        code=lambda wildcards: code_of("report.html:write_report", "methods.registry"),
    message:
        "Writing the report"
    shell:
        "python -m counterfactory report --settings {input.settings:q} --tables {params.folder:q}/tables"
        " --figures {params.folder:q}/figures --benchmarks {params.folder:q}/benchmarks --data {params.folder:q}/data"
        " --out {output.page:q}"
        " --front {output.front:q} 2>&1 | tee {log:q}"
