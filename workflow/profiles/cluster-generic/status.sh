#!/bin/sh
# Prints running, success or failed for one Slurm job. squeue lists a job until MinJobAge after its end, sacct (at sites
# with accounting) without a limit. A job that neither lists is lost.
state=$(squeue --noheader --states=all --jobs="$1" --format=%T 2>/dev/null | head -n 1)
[ -n "$state" ] || state=$(sacct --noheader --allocations --parsable2 --jobs="$1" --format=State 2>/dev/null | head -n 1)
# "CANCELLED by 1000" is CANCELLED.
case "${state%% *}" in
COMPLETED) echo success ;;
PENDING | RUNNING | CONFIGURING | COMPLETING | SUSPENDED | REQUEUED | PREEMPTED | STAGE_OUT | SIGNALING) echo running ;;
# If the controller does not respond, the state is unknown and the job counts as running.
"") if scontrol ping 2>/dev/null | grep -q 'is UP'; then echo failed; else echo running; fi ;;
*) echo failed ;;
esac
