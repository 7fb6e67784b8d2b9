#!/bin/sh
# Install Debian's Slurm without starting its services, and more packages by name. Needs root.
set -eu
made=
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d    # 101: packages may not start services
    chmod 755 /usr/sbin/policy-rc.d
    made=1
fi
trap '[ -z "$made" ] || rm -f /usr/sbin/policy-rc.d' EXIT
apt-cache policy slurmctld | grep -q 'Candidate: [0-9]' || apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends munge slurmctld slurmd slurm-client "$@"
