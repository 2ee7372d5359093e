# The experiment, and the wildcards that it admits. There is no `configfile:` directive: Snakemake would merge that file
# with the one given by --configfile.
import re

from kelbench.config.workflow import plan_or_exit

plan = plan_or_exit(workflow.configfiles, workflow.config_settings.config)


wildcard_constraints:
    dataset="|".join(map(re.escape, plan.datasets)),
    run="|".join(map(re.escape, plan.runs)),
    corpus="|".join(map(re.escape, plan.corpora)),
    task="|".join(map(re.escape, plan.tasks)),
