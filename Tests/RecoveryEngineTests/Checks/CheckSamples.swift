import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

@testable import RecoveryEngine

// Facts of a site where nothing is wrong; each row of a table spoils one thing.

let checkTime = Timestamp(milliseconds: 1_700_000_000_000)
private let gibibyte: UInt64 = 1 << 30

extension HostFacts {
    static var healthy: HostFacts {
        let host = Host(
            id: "a", name: "host-a", site: "a", uri: "qemu:///system", agentSocket: "/run/agent.sock",
            agentAddress: "10.0.0.1:7731", store: "/srv/points", fence: ["/usr/sbin/fence_test", "a"])
        return HostFacts(
            host: host, engineVersion: "0.1.0",
            libvirt: .known(
                HypervisorInformation(
                    hostName: "a", hostUUID: "a", libraryVersion: "9.0.0", hypervisorVersion: "7.2.22")),
            capabilities: .known(
                HypervisorCapabilities(
                    emulator: "/usr/bin/qemu", supportsBackup: true, activeNetworks: ["n"], freeMemoryMiB: 4096)),
            agent: .known(
                AgentStatus(site: "a", version: "0.1.0", processID: 7, store: "/srv/points", freeBytes: 100 * gibibyte)),
            answers: .known(
                AgentCheckAnswer(
                    time: checkTime, dataAddress: "10.0.0.1:7731", storeID: "s",
                    store: FolderFacts(
                        path: "/srv/points", freeBytes: 100 * gibibyte, totalBytes: 200 * gibibyte, fileSystem: "ext4"),
                    programs: [ProgramFacts(name: "qemu-img", path: "/usr/bin/qemu-img")],
                    startHook: StartHookFacts(path: "/etc/libvirt/hooks/qemu.d/00-perilune", runtime: "/run/perilune"),
                    security: SecurityFacts(isEncrypted: false, isLocal: true))),
            skew: .known(ClockSkew(seconds: 0.01, uncertainty: 0.01)), clouds: ["gold"], vms: .known(2),
            scratchNeeded: gibibyte, storeNeeded: gibibyte, storeNeededAtMost: 2 * gibibyte,
            links: [
                Link(
                    peer: "host-b", address: "10.0.0.2:7731",
                    outcome: .known(EndpointOutcome(addresses: ["10.0.0.2"], connectedTo: "10.0.0.2", seconds: 0.002)))
            ])
    }

    mutating func set(free: UInt64) {
        guard var status = agent.value else { return }
        status.freeBytes = free
        agent = .known(status)
    }

    mutating func setAnswers(_ change: (inout AgentCheckAnswer) -> Void) {
        guard var answer = answers.value else { return }
        change(&answer)
        answers = .known(answer)
    }

    mutating func setVersions(libvirt library: String, qemu: String) {
        libvirt = .known(
            HypervisorInformation(hostName: "a", hostUUID: "a", libraryVersion: library, hypervisorVersion: qemu))
    }
}

extension VMFacts {
    static func healthyXML(
        disks: String =
            "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/d/vda'/><target dev='vda'/></disk>",
        os: String = "", devices: String = ""
    ) -> String {
        "<domain type='qemu'><name>orders</name><uuid>u</uuid>\(os)<devices>\(disks)\(devices)"
            + "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='prod-a'/></interface>"
            + "</devices></domain>"
    }

    static func healthy(xml: String = healthyXML()) throws -> VMFacts {
        let definition = try DomainDefinition(xml: xml)
        let domain = Domain(
            name: "orders", uuid: "u", power: .running, autostart: false, memoryMiB: 512,
            disks: definition.disks.map {
                DomainDisk(
                    target: $0.target, path: $0.path, format: $0.format, isReadOnly: $0.isReadOnly, size: 10 * gibibyte)
            }, nics: definition.nics)
        var relationship = Relationship(
            id: "r", name: "orders", vmUUID: "u", source: "a", target: "b", policy: "p",
            disks: [
                ReplicatedDisk(
                    target: "vda", size: 10 * gibibyte, images: ["a": DiskImage(path: "/d/vda", format: "qcow2")])
            ])
        relationship.state = .protected
        relationship.newestGeneration = "g"
        return VMFacts(
            name: "orders", host: "host-a", relationship: relationship, domain: .known(domain),
            definition: .known(definition), readiness: .known(GuestReadiness(agent: .answers, snapshots: 0)),
            images: .known(["/d/vda": ImageFacts(path: "/d/vda", version: 3, allocatedBytes: 4 * gibibyte)]),
            networks: ["prod-a": "prod-b"],
            target: .known(
                Target(
                    name: "host-b", domains: .known([]), networks: .known(["prod-b"]),
                    activeNetworks: .known(["prod-b"]),
                    freeBytes: .known(100 * gibibyte), freeMemoryMiB: .known(4096))),
            lastTest: checkTime.advanced(bySeconds: -86_400), now: checkTime)
    }

    /// The same with another definition, at a host that reports disks as the definition has them.
    mutating func define(_ xml: String) throws { definition = .known(try DomainDefinition(xml: xml)) }

    mutating func setTarget(_ change: (inout Target) -> Void) {
        guard var value = target.value else { return }
        change(&value)
        target = .known(value)
    }

    mutating func setDomain(_ change: (inout Domain) -> Void) {
        guard var value = domain.value else { return }
        change(&value)
        domain = .known(value)
    }
}

extension PairFacts {
    static var healthy: PairFacts {
        func host(_ name: String, _ site: String, _ network: String) -> HostFacts {
            HostFacts(
                name: name, site: site,
                libvirt: .known(
                    HypervisorInformation(
                        hostName: name, hostUUID: name, libraryVersion: "9.0.0", hypervisorVersion: "7.2.22")),
                networks: .known([network]), activeNetworks: .known([network]))
        }
        return PairFacts(
            name: "gold -> silver", pairsOfCloud: ["gold": 1, "silver": 1], policy: Policy(id: "p", name: "fast"),
            source: [host("host-a", "a", "prod-a")], target: [host("host-b", "b", "prod-b")],
            mappings: [
                NetworkMapping(
                    id: "m", sourceNetwork: "prod-a", sourceCloud: "g", targetCloud: "s", targetNetwork: "prod-b")
            ])
    }
}

extension VaultFacts {
    static var healthy: VaultFacts {
        VaultFacts(
            place: VaultPlace(
                path: "/v/vault.db", exists: true, mode: 0o600, folderMode: 0o700, networkFileSystem: nil,
                freeBytes: 10 * gibibyte), hosts: ["host-a", "host-b"], servers: 1, standardLibrary: "/lib",
            replicated: 2,
            replicator: .runs(LeaseHolder("v:7:x"), since: checkTime, heard: checkTime.advanced(bySeconds: 60)),
            now: checkTime.advanced(bySeconds: 62))
    }
}

extension ServerFacts {
    static var healthy: ServerFacts {
        var relationship = Relationship(
            id: "r", name: "vmm01", vmUUID: "u", source: "a", target: "b", policy: "p", disks: [])
        relationship.state = .protected
        relationship.newestGeneration = "g"
        return ServerFacts(
            server: Server(id: "s", name: "vmm01", managementVM: "vmm01"),
            clouds: [
                CloudFacts(name: "gold", hosts: 1, isPaired: true),
                CloudFacts(name: "silver", hosts: 1, isPaired: true),
            ], managementRelationship: relationship)
    }
}
