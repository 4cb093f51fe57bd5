import BlockReplication
import Foundation
import Hypervisors
import SiteModel
import Testing
import VaultStore

@testable import RecoveryEngine

/// One row: what is spoilt in healthy facts, which check notices, how, and a word of the cause.
struct JudgingCase<Facts: Sendable>: Sendable, CustomTestStringConvertible {
    var name: String
    var check: String
    var verdict: CheckVerdict
    var says: String
    var spoil: @Sendable (inout Facts) throws -> Void

    init(
        _ name: String, _ check: String, _ verdict: CheckVerdict, _ says: String,
        _ spoil: @escaping @Sendable (inout Facts) throws -> Void
    ) {
        self.name = name
        self.check = check
        self.verdict = verdict
        self.says = says
        self.spoil = spoil
    }

    var testDescription: String { name }

    /// Judges spoilt facts: the check that is named says so, and whatever else says the same is named in `besides`.
    func judge(_ healthy: Facts, by checks: [Check<Facts>]) throws {
        var facts = healthy
        try spoil(&facts)
        let findings = checks.flatMap { $0.findings(facts, object: "it") }
        let found = findings.filter { $0.check == check && $0.verdict == verdict }
        #expect(!found.isEmpty, "\(findings.filter { $0.check == check })")
        #expect(found.contains { $0.cause.contains(says) || $0.fix?.contains(says) == true }, "\(found)")
        if verdict == .fail || verdict == .warn { #expect(found.allSatisfy { $0.fix?.isEmpty == false }) }
        if verdict == .skipped { #expect(found.allSatisfy { $0.fix == nil && !$0.cause.isEmpty }) }
    }
}

@Suite("Judging facts")
struct JudgingTests {
    private static let gibibyte: UInt64 = 1 << 30

    @Test("Nothing fails, warns or is skipped where nothing is wrong")
    func healthy() throws {
        let findings =
            HostChecks.all.flatMap { $0.findings(.healthy, object: "a") }
            + VMChecks.all.flatMap { check in
                (try? VMFacts.healthy()).map { check.findings($0, object: "orders") } ?? []
            }
            + PairChecks.all.flatMap { $0.findings(.healthy, object: "p") }
            + ServerChecks.all.flatMap { $0.findings(.healthy, object: "s") } + VaultChecks.judge(.healthy)
        let trouble = findings.filter { $0.verdict != .ok }
        #expect(trouble.isEmpty, "\(trouble)")
        #expect(InspectionReport(findings).ready)
        #expect(Set(findings.map(\.check)).count == CheckBook.all.count - EndpointChecks.all.count)
    }

    // MARK: Hosts

    static let hosts: [JudgingCase<HostFacts>] = [
        .init("libvirt is silent", "libvirt-answers", .fail, "gone") { $0.libvirt = .unknown("gone") },
        .init("libvirt is silent: its version is not judged", "libvirt-version", .skipped, "gone") {
            $0.libvirt = .unknown("gone")
        },
        .init("libvirt before incremental backups", "libvirt-version", .fail, "7.6.0") {
            $0.setVersions(libvirt: "7.5.99", qemu: "7.2.0")
        },
        .init("libvirt at its floor", "libvirt-version", .warn, "9.0.0") {
            $0.setVersions(libvirt: "7.6.0", qemu: "7.2.0")
        },
        .init("QEMU without extended L2", "qemu-version", .fail, "5.2.0") {
            $0.setVersions(libvirt: "9.0.0", qemu: "5.1.0")
        },
        .init("QEMU at its floor", "qemu-version", .warn, "7.2.0") { $0.setVersions(libvirt: "9.0.0", qemu: "5.2.0") },
        .init("QEMU known to be bad", "qemu-version", .fail, "damages") {
            $0.setVersions(libvirt: "9.0.0", qemu: "4.1.0")
        },
        .init("newer than tested", "qemu-version", .ok, "11.0.0") { $0.setVersions(libvirt: "12.0.0", qemu: "11.0.0") },
        .init("no version at all", "qemu-version", .warn, "no version") {
            $0.setVersions(libvirt: "9.0.0", qemu: "unknown")
        },
        .init("no QEMU", "backup-capability", .fail, "qemu-system-x86") {
            $0.capabilities = .known(HypervisorCapabilities(emulator: nil, supportsBackup: nil, activeNetworks: []))
        },
        .init("backups unsupported", "backup-capability", .fail, "cannot") {
            $0.capabilities = .known(HypervisorCapabilities(emulator: "/q", supportsBackup: false, activeNetworks: []))
        },
        .init("backups not spoken of", "backup-capability", .warn, "does not say") {
            $0.capabilities = .known(HypervisorCapabilities(emulator: "/q", supportsBackup: nil, activeNetworks: []))
        },
        .init("in no cloud", "host-in-cloud", .warn, "no cloud") { $0.clouds = [] },
        .init("agent is silent", "agent-answers", .fail, "perilune agent --site a --socket /run/agent.sock") {
            $0.agent = .unknown("nobody listens")
        },
        .init("agent of another version", "agent-version", .fail, "0.1.0") { $0.engineVersion = "0.2.0" },
        .init("agent older than the checks", "agent-version", .fail, "does not know") {
            $0.agentIsTooOld = true
            $0.answers = .unknown("too old")
        },
        .init("agent older than the checks: the store is not judged", "store-writable", .skipped, "too old") {
            $0.answers = .unknown("too old")
        },
        .init("agent of another site", "agent-place", .fail, "site 'a', the vault says 'z'") { $0.host.site = "z" },
        .init("agent with another store", "agent-place", .fail, "/elsewhere") { $0.host.store = "/elsewhere" },
        .init("agent that listens everywhere", "agent-place", .fail, "0.0.0.0:7731") {
            $0.setAnswers { $0.dataAddress = "0.0.0.0:7731" }
        },
        .init("no qemu-nbd", "agent-programs", .fail, "apt-get install qemu-utils") {
            $0.setAnswers { $0.programs = [ProgramFacts(name: "qemu-nbd", path: nil)] }
        },
        .init("no start hook", "start-hook", .fail, "install-hook --store /srv/points --runtime /run/a") {
            $0.setAnswers {
                $0.startHook = StartHookFacts(path: "/etc/hook", runtime: "/run/a", problem: "there is none")
            }
        },
        .init("an agent that does not look for the hook", "start-hook", .skipped, "does not look") {
            $0.setAnswers { $0.startHook = nil }
        },
        .init("clock 1.9 s ahead", "clock-skew", .ok, "1.9") { $0.skew = .known(.init(seconds: 1.9, uncertainty: 0)) },
        .init("clock 5 s behind", "clock-skew", .warn, "behind") {
            $0.skew = .known(.init(seconds: -5, uncertainty: 0.1))
        },
        .init("clock a minute ahead", "clock-skew", .fail, "ahead") {
            $0.skew = .known(.init(seconds: 60, uncertainty: 1))
        },
        .init("a slow answer proves nothing", "clock-skew", .ok, "4.0") {
            $0.skew = .known(.init(seconds: 4, uncertainty: 3))
        },
        .init("store read-only", "store-writable", .fail, "Read-only") {
            $0.setAnswers { $0.store.writeFailure = "Read-only file system" }
        },
        .init("store full", "store-space", .fail, "1.0 GiB more") { $0.set(free: 1 << 20) },
        .init("store that may fill up", "store-space", .warn, "2.0 GiB") { $0.set(free: gibibyte + 1) },
        .init("no scratch space", "scratch-space", .fail, "1.0 GiB") { $0.set(free: gibibyte - 1) },
        .init("no scratch needed", "scratch-space", .ok, "nothing is replicated") {
            $0.set(free: 0)
            $0.scratchNeeded = 0
        },
        .init("store on a share", "store-file-system", .warn, "nfs4") {
            $0.setAnswers { $0.store.fileSystem = "nfs4" }
        },
        .init("store of two hosts", "store-alone", .fail, "host-b") { $0.storeSharedWith = ["host-b"] },
        .init("firewall drops", "replication-port", .fail, "firewall on the way drops") {
            $0.links[0].outcome = .known(EndpointOutcome(failure: EndpointFailure(.timedOut, "no answer")))
        },
        .init("agent there is off", "replication-port", .fail, "Start the agent of host-b") {
            $0.links[0].outcome = .known(EndpointOutcome(failure: EndpointFailure(.refused, "refused")))
        },
        .init("no agent at the port", "replication-port", .fail, "no agent") {
            $0.links[0].outcome = .known(EndpointOutcome(failure: EndpointFailure(.notAnAgent, "no agent")))
        },
        .init("its agent cannot try", "replication-port", .skipped, "silent") {
            $0.links[0].outcome = .unknown("silent")
        },
        .init("no fence", "fence-command", .warn, "your word") { $0.host.fence = [] },
        .init("fence is gone", "fence-command", .fail, "not there") { $0.fenceProblem = "it is not there" },
    ]

    @Test("Hosts", arguments: hosts)
    func host(_ row: JudgingCase<HostFacts>) throws { try row.judge(.healthy, by: HostChecks.all) }

    // MARK: VMs

    private static func disk(_ rest: String) -> String { VMFacts.healthyXML(disks: rest) }

    static let vms: [JudgingCase<VMFacts>] = [
        .init("unknown at its host", "vm-present", .fail, "does not know") {
            $0.domain = .unknown("host does not know it")
        },
        .init("network disk", "disks-are-files", .fail, "vda is of type network") {
            try $0.define(
                disk("<disk type='network' device='disk'><source protocol='rbd' name='x'/><target dev='vda'/></disk>"))
        },
        .init("block device", "disks-are-files", .fail, "type block") {
            try $0.define(disk("<disk type='block' device='disk'><source dev='/dev/sdb'/><target dev='vda'/></disk>"))
        },
        .init("a read-only network disk is nobody's concern", "disks-are-files", .ok, "vda") {
            try $0.define(
                disk(
                    "<disk type='file' device='disk'><driver type='qcow2'/><source file='/d/vda'/><target dev='vda'/></disk>"
                        + "<disk type='network' device='disk'><source protocol='rbd' name='x'/><target dev='vdb'/><readonly/></disk>"
                ))
        },
        .init("no disk", "disks-are-files", .fail, "no disk") { try $0.define(disk("")) },
        .init("raw disk", "disks-track-changes", .fail, "raw") {
            try $0.define(
                disk(
                    "<disk type='file' device='disk'><driver type='raw'/><source file='/d/vda'/><target dev='vda'/></disk>"
                ))
        },
        .init("qcow2 of version 2", "disks-track-changes", .fail, "compat=1.1 /d/vda") {
            $0.images = .known(["/d/vda": ImageFacts(path: "/d/vda", version: 2)])
        },
        .init("file that cannot be read", "disks-track-changes", .fail, "Permission denied") {
            $0.images = .known(["/d/vda": ImageFacts(path: "/d/vda", version: nil, failure: "Permission denied")])
        },
        .init("agent cannot be asked for headers", "disks-track-changes", .skipped, "no agent") {
            $0.images = .unknown("no agent")
        },
        .init("encrypted by the definition", "disks-not-encrypted", .fail, "vda") {
            try $0.define(
                disk(
                    "<disk type='file' device='disk'><driver type='qcow2'/><source file='/d/vda'>"
                        + "<encryption format='luks'/></source><target dev='vda'/></disk>"))
        },
        .init("encrypted by the file", "disks-not-encrypted", .fail, "vda") {
            $0.images = .known(["/d/vda": ImageFacts(path: "/d/vda", version: 3, isEncrypted: true)])
        },
        .init("shared disk", "disks-not-shared", .fail, "vda") {
            try $0.define(
                disk(
                    "<disk type='file' device='disk'><driver type='qcow2'/><source file='/d/vda'/><target dev='vda'/><shareable/></disk>"
                ))
        },
        .init("host device", "nothing-passed-through", .fail, "pci") {
            try $0.define(VMFacts.healthyXML(devices: "<hostdev mode='subsystem' type='pci'/>"))
        },
        .init("shared folder", "nothing-passed-through", .fail, "data") {
            try $0.define(VMFacts.healthyXML(devices: "<filesystem type='mount'><target dir='data'/></filesystem>"))
        },
        .init("more disks than measured", "disk-count", .warn, "33") {
            try $0.define(
                disk(
                    (0...VMChecks.measuredDisks).map {
                        "<disk type='file' device='disk'><driver type='qcow2'/><source file='/d/\($0)'/><target dev='d\($0)'/></disk>"
                    }.joined()))
        },
        .init("disk added since", "disks-as-recorded", .fail, "added: vdb") {
            try $0.define(
                disk(
                    "<disk type='file' device='disk'><driver type='qcow2'/><source file='/d/vda'/><target dev='vda'/></disk>"
                        + "<disk type='file' device='disk'><driver type='qcow2'/><source file='/d/vdb'/><target dev='vdb'/></disk>"
                ))
        },
        .init("disk taken away", "disks-as-recorded", .fail, "taken away: vda") { try $0.define(disk("")) },
        .init("UEFI", "firmware-state", .fail, "UEFI") {
            try $0.define(VMFacts.healthyXML(os: "<os firmware='efi'><type>hvm</type></os>"))
        },
        .init("TPM", "firmware-state", .fail, "TPM") {
            try $0.define(VMFacts.healthyXML(devices: "<tpm model='tpm-crb'><backend type='emulator'/></tpm>"))
        },
        .init("no channel for a guest agent", "guest-agent", .warn, "org.qemu.guest_agent.0") {
            $0.readiness = .known(.init(agent: .absent, snapshots: 0))
        },
        .init("guest agent is silent", "guest-agent", .warn, "Install and start") {
            $0.readiness = .known(.init(agent: .silent, snapshots: 0))
        },
        .init("VM is off: its agent is not judged", "guest-agent", .skipped, "not running") {
            $0.readiness = .known(.init(agent: .notRunning, snapshots: 0))
        },
        .init("its addresses are to change", "guest-addresses", .warn, "cloud-init") {
            $0.relationship?.nicSettings = [NICSettings(mac: "52:54:00:00:00:01", test: NICAddressing(.dhcp))]
        },
        .init("settings for a NIC that is gone", "guest-addresses", .fail, "52:54:00:00:00:09") {
            $0.relationship?.nicSettings = [NICSettings(mac: "52:54:00:00:00:09", test: NICAddressing(.dhcp))]
        },
        .init("snapshots", "no-snapshots", .fail, "2") { $0.readiness = .known(.init(agent: .answers, snapshots: 2)) },
        .init("paused", "not-paused", .warn, "it is") { $0.setDomain { $0.power = .paused } },
        .init("autostart at home", "autostart-off", .fail, "host-a") { $0.setDomain { $0.autostart = true } },
        .init("autostart of the replica", "autostart-off", .fail, "host-b") { facts in
            let own = facts.domain.value
            facts.setTarget { target in
                target.domains = .known(
                    [own].compactMap { $0 }.map { domain in
                        var copy = domain
                        copy.autostart = true
                        copy.power = .off
                        return copy
                    })
            }
        },
        .init("autostart of a VM that is not replicated", "autostart-off", .skipped, "not replicated") {
            $0.relationship = nil
            $0.setDomain { $0.autostart = true }
        },
        .init("policy is gone", "policy-of-vm", .fail, "no more") { $0.policyExists = false },
        .init("never tested", "test-failover", .warn, "none ever") { $0.lastTest = nil },
        .init("tested long ago", "test-failover", .warn, "31 days") {
            $0.lastTest = checkTime.advanced(bySeconds: -31.5 * 86_400)
        },
        .init("nothing to test yet", "test-failover", .skipped, "no recovery point") {
            $0.relationship?.newestGeneration = nil
            $0.lastTest = nil
        },
        .init("NIC on a bridge", "nics-on-networks", .warn, "52:54:00:00:00:02") {
            try $0.define(
                VMFacts.healthyXML(
                    devices:
                        "<interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/></interface>")
            )
        },
        .init("network without a mapping", "vm-network-mapped", .warn, "prod-a") { $0.networks = ["prod-a": nil] },
        .init("target network missing", "vm-network-mapped", .fail, "host-b has no network 'prod-b'") {
            $0.setTarget { $0.networks = .known(["other"]) }
        },
        .init("target network down", "vm-network-mapped", .fail, "net-start prod-b") {
            $0.setTarget { $0.activeNetworks = .known([]) }
        },
        .init("name taken at the target", "target-name-free", .fail, "another VM 'orders'") { facts in
            let own = facts.domain.value
            facts.setTarget { target in
                target.domains = .known(
                    [own].compactMap { $0 }.map {
                        var other = $0
                        other.uuid = "v"
                        return other
                    })
            }
        },
        .init("UUID taken at the target", "target-name-free", .fail, "its UUID") { facts in
            let own = facts.domain.value
            facts.relationship = nil
            facts.setTarget { $0.domains = .known([own].compactMap { $0 }) }
        },
        .init("runs twice", "runs-once", .fail, "two copies") { facts in
            let own = facts.domain.value
            facts.setTarget { $0.domains = .known([own].compactMap { $0 }) }
        },
        .init("failed over: no target to judge", "target-space", .skipped, "failed over") {
            $0.target = .unknown("the VM is failed over")
        },
        .init("no room for the first copy", "target-space", .fail, "4.0 GiB") {
            $0.relationship?.newestGeneration = nil
            $0.setTarget { $0.freeBytes = .known(3 * gibibyte) }
        },
        .init("room for now", "target-space", .warn, "10.0 GiB") {
            $0.relationship?.newestGeneration = nil
            $0.setTarget { $0.freeBytes = .known(5 * gibibyte) }
        },
        .init("no room for changes", "target-space", .fail, "1.0 GiB") {
            $0.setTarget { $0.freeBytes = .known(gibibyte / 2) }
        },
        .init("no memory at the target", "target-memory", .warn, "512 MiB needed, 100 MiB free") {
            $0.setTarget { $0.freeMemoryMiB = .known(100) }
        },
    ]

    @Test("VMs", arguments: vms)
    func vm(_ row: JudgingCase<VMFacts>) throws { try row.judge(.healthy(), by: VMChecks.all) }

    // MARK: Pairs, servers, vault

    static let pairs: [JudgingCase<PairFacts>] = [
        .init("cloud in two pairs", "one-pair-per-cloud", .fail, "gold") { $0.pairsOfCloud["gold"] = 2 },
        .init("policy is gone", "policy-present", .fail, "no such policy") { $0.policy = nil },
        .init("policy that is not allowed", "policy-present", .fail, "copy frequency") {
            $0.policy?.copyFrequencySeconds = 31
        },
        .init("one site", "sites-apart", .warn, "site a") { $0.target[0].site = "a" },
        .init("older QEMU at the target", "qemu-alike", .warn, "host-b has QEMU 7.0.0") {
            $0.target[0].libvirt = .known(
                HypervisorInformation(hostName: "b", hostUUID: "b", libraryVersion: "9.0.0", hypervisorVersion: "7.0.0")
            )
        },
        .init("newer QEMU at the target", "qemu-alike", .ok, "none") {
            $0.target[0].libvirt = .known(
                HypervisorInformation(
                    hostName: "b", hostUUID: "b", libraryVersion: "9.1.0", hypervisorVersion: "10.0.0"))
        },
        .init("target does not answer", "qemu-alike", .skipped, "do not answer") {
            $0.target[0].libvirt = .unknown("x")
        },
        .init("network of a VM is not mapped", "networks-mapped", .warn, "prod-c (orders is on it)") {
            $0.unmapped = ["prod-c": "orders"]
        },
        .init("target network missing", "target-network", .fail, "prod-b") { $0.target[0].networks = .known([]) },
        .init("target network down", "target-network", .fail, "not started") {
            $0.target[0].activeNetworks = .known([])
        },
        .init("target is silent", "target-network", .skipped, "gone") { $0.target[0].networks = .unknown("gone") },
    ]

    @Test("Pairs", arguments: pairs)
    func pair(_ row: JudgingCase<PairFacts>) throws { try row.judge(.healthy, by: PairChecks.all) }

    static let servers: [JudgingCase<ServerFacts>] = [
        .init("one cloud on the only server", "clouds-present", .fail, "only gold") { $0.clouds.removeLast() },
        .init("one cloud each on two servers", "clouds-present", .ok, "gold") {
            $0.clouds.removeLast()
            $0.servers = 2
        },
        .init("cloud without hosts", "clouds-have-hosts", .fail, "gold") { $0.clouds[0].hosts = 0 },
        .init("cloud without a pair", "clouds-paired", .warn, "silver") { $0.clouds[1].isPaired = false },
        .init("own VM in a cloud", "management-vm-outside-clouds", .fail, "gold") { $0.managementProtectedIn = "gold" },
        .init("own VM not replicated", "management-vm-replicated", .fail, "vmm01") { $0.managementRelationship = nil },
        .init("own VM without a point", "management-vm-replicated", .warn, "no recovery point") {
            $0.managementRelationship?.newestGeneration = nil
        },
        .init("runs in no VM", "management-vm-replicated", .ok, "no VM") {
            $0.server.managementVM = nil
            $0.managementRelationship = nil
        },
    ]

    @Test("Servers", arguments: servers)
    func server(_ row: JudgingCase<ServerFacts>) throws { try row.judge(.healthy, by: ServerChecks.all) }

    static let vaults: [JudgingCase<VaultFacts>] = [
        .init("does not open", "vault-opens", .fail, "restore it") { $0.openFailure = ("damaged", "restore it") },
        .init("does not open: hosts are not judged", "hosts-registered", .skipped, "not open") {
            $0.openFailure = ("damaged", nil)
        },
        .init("others may write", "vault-permissions", .fail, "0666") { $0.place?.mode = 0o666 },
        .init("others may read", "vault-permissions", .warn, "0644") { $0.place?.mode = 0o644 },
        .init("folder of everybody", "vault-permissions", .fail, "0777") { $0.place?.folderMode = 0o777 },
        .init("folder of everybody, sticky", "vault-permissions", .ok, "0600") { $0.place?.folderMode = 0o1777 },
        .init("on a share", "vault-file-system", .fail, "nfs4") { $0.place?.networkFileSystem = "nfs4" },
        .init("nobody replicates", "replicator-runs", .fail, "none has run yet") { $0.replicator = .never },
        .init("the replicator died", "replicator-runs", .fail, "replicate --vault /v/vault.db") {
            $0.replicator = .died(LeaseHolder("v:7:x"), heard: checkTime)
        },
        .init("nobody replicates, and nothing is replicated", "replicator-runs", .ok, "no VM") {
            ($0.replicator, $0.replicated) = (.never, 0)
        },
        .init("the vault could not be asked for its replicator", "replicator-runs", .skipped, "not open") {
            $0.replicator = nil
        },
        .init("disk nearly full", "vault-space", .warn, "1.0 MiB") { $0.place?.freeBytes = 1 << 20 },
        .init("no server", "hosts-registered", .warn, "no server") { $0.servers = 0 },
        .init("one host", "hosts-registered", .fail, "host-a") { $0.hosts = ["host-a"] },
        .init("no library", "standard-library", .fail, "health.lua") { $0.standardLibrary = nil },
    ]

    @Test("Vaults", arguments: vaults)
    func vault(_ row: JudgingCase<VaultFacts>) throws { try row.judge(.healthy, by: VaultChecks.all) }

    @Test("Every check has a row that fails or warns, so that none can only pass")
    func reachable() {
        func noticed<Facts>(_ rows: [JudgingCase<Facts>]) -> Set<String> {
            Set(rows.filter { $0.verdict == .fail || $0.verdict == .warn }.map(\.check))
        }
        let all = noticed(Self.hosts).union(noticed(Self.vms)).union(noticed(Self.pairs)).union(noticed(Self.servers))
            .union(noticed(Self.vaults)).union(EndpointJudgingTests.noticed)
        #expect(Set(CheckBook.all.map(\.id)).subtracting(all).isEmpty)
    }

    @Test(
        "Versions are compared number by number",
        arguments: [("7.2", "7.10", true), ("7.2.0", "7.2", false), ("10.0.0", "9.9.9", false), ("1", "1.0.1", true)])
    func versions(a: String, b: String, less: Bool) throws {
        let (left, right) = (try #require(ComponentVersion(a)), try #require(ComponentVersion(b)))
        #expect((left < right) == less)
        if a == "7.2.0" { #expect(left == right && left.hashValue == right.hashValue) }
        #expect(
            ComponentVersion("x1") == nil && ComponentVersion("") == nil
                && ComponentVersion("1..2")?.description == "1.2")
    }
}
