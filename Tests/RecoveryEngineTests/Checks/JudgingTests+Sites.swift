import BlockReplication
import Foundation
import Hypervisors
import SiteModel
import Testing
import VaultStore

@testable import RecoveryEngine

extension JudgingTests {
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
        .init("another copy was promoted", "vault-in-force", .fail, "use the promoted one") {
            $0.superseded = ("another copy was promoted", "use the promoted one")
        },
        .init("another copy was promoted: nobody replicates from this one", "replicator-runs", .skipped, "another copy")
        {
            $0.superseded = ("another copy was promoted", nil)
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
}
