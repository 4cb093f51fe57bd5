import SiteModel

// Sections 1.5 to 1.9 of the collected facts: hosts, VMs, networks, storage.

extension ReferenceObjects {
    static let hosts: [ReferenceObject] = [
        ReferenceObject(
            "1.5", "Host and host cluster",
            here:
                "A libvirt connection with the agent beside it, which sends and receives; a cluster is hosts with one name.",
            [
                ReferencePart(
                    "host of a cloud", lua: ["vault:host", "host.name", "host.site", "host.uri"],
                    model: ["Host.name", "Host.site", "Host.uri"],
                    "Registered by itself; its site is what it fails with."),
                ReferencePart(
                    "receives replicas, or does not", lua: ["host:check"], model: ["Host.agentSocket"],
                    "It does as soon as its agent runs: check `agent-answers`."),
                ReferencePart(
                    "port", lua: ["vault:host{address}"], model: ["Host.agentAddress"],
                    "Any; one for each agent, for all policies. Check `replication-port`."),
                ReferencePart(
                    "authentication", lua: ["policy.authentication"], model: ["Policy.Authentication.ticket"],
                    "A ticket for each transfer; with `perilune agent --tls`, TLS 1.3 and certificates at both sides: `agent-tls`."
                ),
                ReferencePart(
                    "default folder of replicas", lua: ["host.store", "vault:host{store}"], model: ["Host.store"],
                    "One store a host, always said."),
                ReferencePart(
                    "which primaries may send, with trust groups",
                    "Left out as a table: an agent takes what it has a ticket for, and the engine gives tickets only between the two hosts of a relationship."
                ),
                ReferencePart(
                    "monitoring interval and its start",
                    lua: ["policy.monitoring_interval", "policy.monitoring_start"],
                    model: ["Policy.monitoringHours", "Policy.monitoringStart"],
                    "With the policy, not the host. Default \(Policy.defaultMonitoringHours) h from \(Policy.defaultMonitoringStart)."
                ),
                ReferencePart(
                    "cluster: members, client access point",
                    lua: ["vault:cluster", "cluster.access_name", "cluster.hosts", "host.cluster"],
                    model: ["HostCluster.hosts", "HostCluster.accessName"],
                    "A host is in one: rule `host-in-one-cluster`."),
                ReferencePart(
                    "broker places a replica on some healthy node", model: ["HostCluster.hosts"],
                    "There is no broker. The VM's identity chooses among healthy hosts: spread out, and the same again."
                ),
                ReferencePart(
                    "replica made highly available, broker follows migrations",
                    "Left out: a replica is no VM before its failover. A VM that was moved is found by check `vm-present`."
                ),
                ReferencePart(
                    "(nothing)", lua: ["vault:host{fence}"], model: ["Host.fence", "Host.fenceAgent"],
                    "More: what ends the host for certain. The original takes the operator's word."),
            ]),
        ReferenceObject(
            "1.6", "Virtual machine",
            here: "A libvirt domain, looked at when asked; the vault keeps only what is replicated.",
            [
                ReferencePart(
                    "id, name", lua: ["vm.uuid", "vm.name"], model: ["Relationship.vmUUID", "Relationship.name"],
                    "libvirt's, the same at both hosts."),
                ReferencePart(
                    "generation, operating system", lua: ["vm:check"],
                    "Any system. UEFI variables and a TPM's state go with each point: check `firmware-state`."),
                ReferencePart(
                    "disks: id, name, type, size", lua: ["item.disks", "disk.name", "disk.size"],
                    model: ["Relationship.disks", "ReplicatedDisk.target", "ReplicatedDisk.size"],
                    "qcow2 files, whose changes can be tracked: check `disks-track-changes`."),
                ReferencePart(
                    "selection of disks", lua: ["vm:protect{disks}", "vm:protect{exclude}", "item.excluded_disks"],
                    model: ["Relationship.excludedDisks"],
                    "All by default. What is left out does not exist at the target in any form, and is attached again at home."
                ),
                ReferencePart(
                    "physical, fibre channel, shared disks", lua: ["vm:check"],
                    "Checks `disks-are-files`, `disks-not-shared`, `nothing-passed-through`."),
                ReferencePart(
                    "protection status, readiness errors", lua: ["vm:item", "vm:check", "item:can"],
                    "Asked when wanted."),
            ]),
    ]

    static let networking: [ReferenceObject] = [
        ReferenceObject(
            "1.7", "Logical network, VM network, subnet",
            here:
                "A VM network is the libvirt network of that name at each host. Logical networks, subnets and pools may be described, and nothing needs them that does not name them.",
            [
                ReferencePart(
                    "logical network, associated with clouds",
                    lua: ["server:logical_network", "logical_network.clouds"],
                    model: ["LogicalNetwork.clouds"],
                    "Where it is described, mapping asks for it: rule `target-network-not-associated`."),
                ReferencePart(
                    "isolation: none, VLAN, virtualized", lua: ["logical_network.isolation"],
                    model: ["LogicalNetwork.isolation", "NetworkIsolation.overlay"],
                    "\(words(NetworkIsolation.allCases.map(\.rawValue))); `none` by default."),
                ReferencePart(
                    "VM network", lua: ["logical_network:vm_network", "vm_network.name"],
                    model: ["VMNetwork.logicalNetwork"],
                    "Unique on its server."),
                ReferencePart(
                    "subnets: name, addresses",
                    lua: ["vm_network.subnets", "subnet.block", "subnet.gateway", "subnet.dns", "subnet.vlan"],
                    model: ["Subnet.block", "Subnet.gateway", "Subnet.dns", "Subnet.vlan"],
                    "IPv4. VLANs \(Subnet.vlanLimits.lowerBound) to \(Subnet.vlanLimits.upperBound), with isolation `vlan` alone."
                ),
                ReferencePart(
                    "static address pool", lua: ["subnet.pool", "subnet.reserved"],
                    model: ["AddressPool.first", "AddressPool.reserved"],
                    "A range, less what is kept back; the address that a VM had is preferred."),
            ]),
        ReferenceObject(
            "1.8", "Network mapping",
            here: "One network of a cloud to one of the paired cloud; within one server as well.",
            [
                ReferencePart(
                    "source network, target network",
                    lua: ["cloud:map_network", "cloud:unmap_network", "cloud:network_mappings"],
                    model: [
                        "NetworkMapping.sourceCloud", "NetworkMapping.targetCloud", "NetworkMapping.targetNetwork",
                    ],
                    "To one target or none; without one a NIC comes up unconnected."),
                ReferencePart(
                    "(a) existing replicas, (b) new VMs, (c) edits take effect",
                    model: ["NetworkMapping.targetNetwork"],
                    "All three at once: a replica is defined when it fails over, by the mapping of that moment. An event names the replicas that a change moves."
                ),
                ReferencePart(
                    "(d) placement prefers hosts that reach the network", model: ["PlacementNeed.networks"],
                    "The same, before storage class and space."),
                ReferencePart(
                    "subnet of the same name, else the first", model: ["VMNetwork.subnets"], "The same."),
                ReferencePart(
                    "failback: what a NIC is connected to",
                    model: ["Relationship.nics", "ReplicatedNIC.home", "ReplicatedNIC.away"],
                    "The original's table: unchanged, home; disconnected, disconnected; moved to a network without a mapping, disconnected; mapping edited, where it leads now. The mappings of the way there are read backwards unless the other cloud has its own."
                ),
            ]),
        ReferenceObject(
            "1.9", "Storage class and storage mapping",
            here: "Folders at hosts. The mapping chooses among hosts, since each keeps its points in one store.",
            [
                ReferencePart(
                    "class on a server, with its places", lua: ["server:storage_class", "storage_class.locations"],
                    model: ["StorageClass.locations"],
                    "A disk is of the class whose folder it lies in; one folder at least."),
                ReferencePart(
                    "mapping: class to class, same server or another",
                    lua: ["storage_class:map", "storage_class:unmap", "storage_class.mapped_to"],
                    model: ["StorageMapping.target"], "To one class. Kinds of storage may differ."),
                ReferencePart(
                    "best of several places; none suits, or no mapping: the host's default",
                    model: ["PlacementNeed.classes"],
                    "A host whose store is of the class, then one with room, then the order of the cloud."),
            ]),
    ]
}
