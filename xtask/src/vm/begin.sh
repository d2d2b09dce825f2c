# Inside the virtual machine, as root: brings the engine up as it is to be, and runs the tests. Whoever started it reads what
# this prints; lines that begin with `tandem-vm:` are for `cargo xtask` alone.
set -u
say() { echo "tandem-vm: $*"; }
fail() {
    journalctl --no-pager --unit docker | tail -n 40
    say "failed $*"
    exit 1
}
say "begins"
. /payload/settings

# A network without a way out: names resolve to nothing at once, and a Swarm has an address to tell.
ip link add tandem0 type dummy && ip address add "$ADDRESS/24" dev tandem0 && ip link set tandem0 up || fail "a network"
ip route add default dev tandem0 || fail "a route"

# The sources are where they are on the host: the tests have the path in them.
mkdir -p "$ROOT" && mount --bind /payload/root "$ROOT" || fail "the sources"
cp /payload/bin/* /usr/local/bin/ || fail "the programs"

with=/payload/certificates/engine
tls="--host tcp://0.0.0.0:2376 --tlsverify --tlscacert=$with/ca.pem --tlscert=$with/cert.pem --tlskey=$with/key.pem"
echo "DOCKER_OPTS=\"--exec-opt native.cgroupdriver=$DRIVER $tls\"" >/etc/default/docker
systemctl start docker.service || fail "the engine"
say "step the engine is up"
docker load --quiet --input /payload/images.tar >/dev/null || fail "the images"
say "step the images are loaded"
# For the ingress mesh and virtual addresses; the engine would load it with the first service.
modprobe -a ip_vs xt_ipvs || fail "IP_VS"
docker swarm init --advertise-addr "$ADDRESS" >/dev/null || fail "the Swarm"
say "step the Swarm is up"

fact() { say "fact $1 $(eval "$2" 2>/dev/null)"; }
fact kernel 'uname -r'
fact engine 'docker version --format "{{.Server.Version}}"'
fact api 'docker version --format "{{.Server.APIVersion}}"'
fact compose 'docker compose version --short || docker-compose version --short'
fact driver 'docker info --format "{{.CgroupDriver}}"'
fact cgroups 'docker info --format "{{.CgroupVersion}}"'
fact apparmor 'docker info --format "{{.SecurityOptions}}" | grep -q apparmor && echo yes || echo no'

export DOCKER_HOST=unix:///var/run/docker.sock
export TANDEM_DIST="$ROOT/target/dist" TANDEM_TEST_IMAGE="$TEST_IMAGE" TANDEM_TOOLS_IMAGE="$TOOLS_IMAGE"
export TANDEM_SWARM_HOST="$DOCKER_HOST" TANDEM_SWARM_ADDRESS="$ADDRESS" TANDEM_TLS_CERTIFICATES=/payload/certificates
export TANDEM_SLOW="$SLOW" RUST_TEST_THREADS="$THREADS" RUST_BACKTRACE=0 HOME=/root
cd "$ROOT/manager" || fail "the sources"
for run in /payload/runs/*; do
    program=${run#*-}
    set --
    while IFS= read -r arg; do set -- "$@" "$arg"; done <"$run"
    "/payload/programs/$program" "$@" </dev/null 2>&1
    say "ended $? $program"
done

# Containers, volumes and networks of pods and tests. The last ones may still be going.
left() {
    for label in io.tandem.pod io.tandem.owner io.tandem.test; do
        docker ps -a --filter "label=$label" --format 'container {{.Names}}'
        docker volume ls --filter "label=$label" --format 'volume {{.Name}}'
        docker network ls --filter "label=$label" --format 'network {{.Name}}'
    done
}
tries=0
while [ -n "$(left)" ] && [ $tries -lt 30 ]; do
    tries=$((tries + 1))
    sleep 2
done
left | while read -r what; do say "left $what"; done
say "done"
