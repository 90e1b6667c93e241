#!/bin/sh
# Prints running, success or failed for one Slurm job. squeue knows a job until MinJobAge after its end, sacct (where the
# site keeps accounts) for ever; a job that neither knows is lost.
state=$(squeue --noheader --states=all --jobs="$1" --format=%T 2>/dev/null | head -n 1)
[ -n "$state" ] || state=$(sacct --noheader --allocations --parsable2 --jobs="$1" --format=State 2>/dev/null | head -n 1)
# "CANCELLED by 1000" is CANCELLED.
case "${state%% *}" in
COMPLETED) echo success ;;
PENDING | RUNNING | CONFIGURING | COMPLETING | SUSPENDED | REQUEUED | PREEMPTED | STAGE_OUT | SIGNALING) echo running ;;
# The controller does not answer: nothing is known, so nothing is concluded.
"") if scontrol ping 2>/dev/null | grep -q 'is UP'; then echo failed; else echo running; fi ;;
*) echo failed ;;
esac
