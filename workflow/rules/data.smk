# Datasets: shared by all experiments, so nothing here depends on one, but for graphs of the user's own.


rule fetch:
    output:
        "data/fetched/{dataset}.json",
    log:
        "logs/data/{dataset}/fetch.log",
    benchmark:
        "logs/data/{dataset}/fetch.jsonl"
    retries: 3
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=120,
    params:
        files=plan.files_digest,
        code=plan.code("fetch"),
    message:
        "fetching {wildcards.dataset}"
    shell:
        "kelbench fetch {wildcards.dataset} --receipt {output} 2> {log}"


# Prose for masked language modelling. A run that names another file brings its own.
rule corpus:
    output:
        "data/corpus/{corpus}.txt",
    log:
        "logs/data/corpus/{corpus}.log",
    benchmark:
        "logs/data/corpus/{corpus}.jsonl"
    retries: 3
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        corpus=plan.corpus_digest,
        code=plan.code("corpus"),
    message:
        "making the corpus {wildcards.corpus}"
    shell:
        "kelbench corpus {wildcards.corpus} --out {output} 2> {log}"


rule prepare:
    input:
        plan.sources_of,
    output:
        plan.prepared("{dataset}"),
    log:
        "logs/data/{dataset}/prepare.log",
    benchmark:
        "logs/data/{dataset}/prepare.jsonl"
    group:
        "data"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        dataset=plan.dataset_digest,
        code=plan.code("prepare"),
        config=plan.config_option,
    message:
        "preparing {wildcards.dataset}"
    shell:
        "kelbench prepare {wildcards.dataset} {params.config} --out data/prepared/{wildcards.dataset} 2> {log}"


rule audit:
    input:
        plan.prepared("{dataset}"),
    output:
        "data/prepared/{dataset}/audit.json",
    log:
        "logs/data/{dataset}/audit.log",
    benchmark:
        "logs/data/{dataset}/audit.jsonl"
    group:
        "data"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=plan.code("audit"),
    message:
        "auditing {wildcards.dataset}"
    shell:
        "kelbench audit {wildcards.dataset} 2> {log}"
