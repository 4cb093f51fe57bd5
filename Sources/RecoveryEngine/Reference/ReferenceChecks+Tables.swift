// The rows one by one, in words of our own.

extension ReferenceChecks {
    static let prerequisites: [ReferenceCheck] = [
        ReferenceCheck(
            "1", "A management server of a supported version, up to date",
            checks: ["vault-opens", "libvirt-version", "qemu-version"],
            here:
                "What has a version that matters: the vault, libvirt, QEMU. The server's own is rule `version-not-usable`."
        ),
        ReferenceCheck(
            "2", "A management server that was not upgraded in place", checks: ["vault-opens"], foreign: true,
            here:
                "A vault of an older version is migrated; one of a newer version is refused."
        ),
        ReferenceCheck(
            "3", "Internet access of server and hosts, port 443",
            checks: ["endpoint-reachable", "endpoint-certificate"],
            here:
                "Perilune needs none. What a site needs is named in a file (`perilune doctor --endpoints`) and tried from the vault's machine and from each host."
        ),
        ReferenceCheck(
            "4", "A firewall by addresses lets the service's ranges pass", checks: ["endpoint-ranges"],
            here: "The ranges are those of the file: what a name leads to must lie in them."),
        ReferenceCheck(
            "5", "One provider version on all nodes of a cluster", checks: ["agent-version"],
            here: "Of agents. Of a server's nodes it is rule `one-version-on-all-nodes`."),
        ReferenceCheck(
            "6", "Networks are prepared for mapping",
            checks: ["networks-mapped", "target-network", "nics-on-networks", "vm-network-mapped"],
            here: "libvirt networks at both ends, up and started with the host."),
        ReferenceCheck(
            "7", "A cloud on each of two servers, two on one; each with a host group",
            checks: ["clouds-present", "clouds-have-hosts", "hosts-registered"], here: "Without capability profiles."),
        ReferenceCheck(
            "8", "A cloud in one pair at most", checks: ["one-pair-per-cloud", "clouds-paired", "policy-present"],
            here: "Refused when it is asked for, too."),
        ReferenceCheck(
            "9", "Hosts of a supported version with the role, not mixed in one cloud",
            checks: [
                "libvirt-answers", "libvirt-version", "qemu-version", "backup-capability", "agent-programs",
                "qemu-alike",
            ],
            here: "Versions may be mixed as long as no target is older than a source."),
        ReferenceCheck(
            "10", "A host in a host group of a cloud, with a VM",
            checks: ["host-in-cloud", "clouds-have-hosts", "hosts-registered", "vm-present"],
            here: "Or one that receives replicas."),
        ReferenceCheck(
            "11", "A broker on a cluster, a hotfix", foreign: true,
            here: "There is no broker: each host has its own agent, and the vault says which host owns a VM."),
        ReferenceCheck(
            "12", "The replication port is free, and open both ways", checks: ["replication-port"],
            here: "Tried from each agent to each that it sends to, now or after a failover."),
        ReferenceCheck(
            "13", "At the host NIC teaming, VLAN, IPv4; no IPv6", checks: ["replication-port"],
            here: "Bonds and VLANs are the host's business. IPv6 is allowed."),
        ReferenceCheck(
            "14", "In the guest no teaming, IPv4, static addresses, several NICs",
            checks: ["nics-on-networks", "guest-addresses"],
            here: "What a guest does with its NICs is its own business; addresses that it is told are IPv4."),
        ReferenceCheck(
            "15", "At the host SMB 3, iSCSI, multipath",
            checks: [
                "disks-are-files", "store-writable", "store-space", "store-file-system", "target-space", "vault-space",
            ], here: "Files on whatever file system; a store on a share is warned of."),
        ReferenceCheck(
            "16", "VHD or VHDX, 16 disks, generation 2, excluded disks",
            checks: ["disk-count", "disks-are-files", "disks-track-changes", "firmware-state"],
            here: "qcow2 instead; any number of disks; UEFI variables and a TPM's state go with each point."),
        ReferenceCheck(
            "17", "No shared, encrypted, NFS disks; none added or taken away while it runs",
            checks: [
                "disks-not-shared", "disks-not-encrypted", "disks-are-files", "nothing-passed-through",
                "disks-as-recorded",
            ], here: "The same; a disk that was added stops replication until the VM is protected anew."),
        ReferenceCheck(
            "18", "A guest system that the host supports; no client Windows as host",
            checks: ["nothing-passed-through"], foreign: true,
            here: "Any that QEMU runs: disks are copied whatever is on them."),
        ReferenceCheck(
            "19", "Kerberos in a domain, else certificates", checks: ["agent-tls", "replication-port"], foreign: true,
            here:
                "Agents show each other certificates, with `--tls`, and a ticket of one transfer; control sockets are their user's."
        ),
        ReferenceCheck(
            "20", "The source's clock is right", checks: ["clock-skew"],
            here: "Each host's against the machine that asks."),
        ReferenceCheck(
            "21", "The server's own VM in no protected cloud, its hosts enabled",
            checks: ["management-vm-outside-clouds", "management-vm-replicated", "agent-answers", "agent-place"],
            here: "Also rule `management-vm-outside-clouds`."),
        ReferenceCheck(
            "22", "Shares, rights and delegation for an offline first copy", foreign: true,
            here: "Each agent reads and writes folders of its own host alone; what it cannot is refused when it begins."
        ),
        ReferenceCheck(
            "23", "A script library, scripts on both servers", checks: ["standard-library"],
            here: "Scripts and modules lie where `perilune` runs."),
        ReferenceCheck(
            "24", "Integration services, for application-consistent points", checks: ["guest-agent"],
            here: "QEMU's guest agent."),
        ReferenceCheck(
            "25", "A static address pool at both servers", checks: ["guest-addresses"],
            here: "A pool belongs to a NIC's settings or to a subnet."),
        ReferenceCheck(
            "26", "A replica host with room and the network",
            checks: ["target-space", "target-memory", "target-network", "vm-network-mapped", "target-name-free"],
            here: "Memory, space, names and networks, each by itself."),
        ReferenceCheck(
            "URLs", "Endpoints of the service, by purpose",
            checks: ["endpoint-reachable", "endpoint-certificate", "endpoint-ranges"],
            here:
                "The shape is kept, the names are not: groups with a purpose, in the shape of `examples/endpoints.json`."
        ),
    ]

    static let practices: [ReferenceCheck] = [
        ReferenceCheck(
            "B-BPA", "Certain primaries are authorized, trust tags", foreign: true,
            here: "An agent takes only what it has a ticket for."),
        ReferenceCheck(
            "B-BPA", "Compression is on, certificates are used", foreign: true,
            here:
                "Compression is on unless a policy says otherwise; certificates are not there yet, and asking for them is refused."
        ),
        ReferenceCheck(
            "B-BPA", "VSS and injection of addresses are set up", checks: ["guest-agent", "guest-addresses"],
            here: "Guest agent and NoCloud data."),
        ReferenceCheck(
            "B-BPA", "Page-file disks are left out", foreign: true,
            here: "Nothing tells a swap disk from another by its outside: `vm:protect { exclude = ... }`."),
        ReferenceCheck(
            "B-BPA", "Traffic is throttled, resync is off-peak", foreign: true,
            here:
                "`auto_resync = \"window\"` waits for its window; transfers are limited by number for each host and link, and in bytes a second by `perilune agent --throttle`."
        ),
        ReferenceCheck("B-BPA", "No VM is paused", checks: ["not-paused"], here: "The same."),
        ReferenceCheck(
            "B-BPA", "A test failover after the first copy, and each month", checks: ["test-failover"],
            here: "Within 30 days."),
        ReferenceCheck(
            "B-BPA", "Disks in the newer format where history is kept", checks: ["disks-track-changes"],
            here: "qcow2 of version 3."),
        ReferenceCheck(
            "B-BPA", "No recovery snapshots are left after a failover", checks: ["no-snapshots"],
            here: "None of libvirt's; boot overlays are folded by a stage of the reverse."),
    ]
}
