#!/bin/sh
# Installs Debian's Slurm (and MariaDB, for accounting) where it is absent and may be installed; says what it cannot.
missing() {
    for program in slurmctld slurmd sbatch munged slurmdbd mariadbd; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || { echo "$program"; }
    done
}
[ -n "$(missing)" ] || exit 0
cannot() {
    echo "cluster tests: $1; not installed: $(missing | tr '\n' ' ')" >&2
    echo "cluster tests: the tests that need them are skipped (Debian: slurmctld slurmd slurm-client munge slurmdbd mariadb-server)" >&2
    exit 0
}
command -v apt-get >/dev/null || cannot "this machine has no apt-get"
sudo=
if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || cannot "installing packages needs root"
    sudo=sudo
fi
# What Debian's packages would start is not wanted: the tests start their own.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
{
    $sudo apt-get update -qq &&
        $sudo apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge slurmdbd mariadb-server
} >&2 || cannot "apt-get failed"
