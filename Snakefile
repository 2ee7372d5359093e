# The workflow of one experiment, from verified files to a report:
#
#     fetch -> prepare -> audit -> train -> evaluate -> leaderboard -> report
#
# snakemake --cores 2                                         config/quick.yaml
# snakemake --cores 2 --configfile config/fb15k-237.yaml      another experiment
# snakemake --cores 2 prepared                                the datasets alone (a target stands before --configfile)
#
# Every job calls a verb of the command `kelbench`, which can be called by hand as well. The experiment file is read by
# kelbench.config; `plan` says what it amounts to (src/kelbench/config/workflow.py).


include: "workflow/rules/common.smk"


localrules:
    all,
    prepared,


rule all:
    input:
        plan.reports,


rule prepared:
    input:
        plan.prepared_datasets(),


include: "workflow/rules/data.smk"
include: "workflow/rules/runs.smk"
include: "workflow/rules/report.smk"
