import BlockReplication
import Foundation
import Hypervisors
import SiteModel
import Testing
import VaultStore

@testable import RecoveryEngine

extension JudgingTests {
    private static let gibibyte: UInt64 = 1 << 30

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
        .init("disk added since", "disks-as-recorded", .warn, "added: vdb") {
            try $0.define(
                disk(
                    "<disk type='file' device='disk'><driver type='qcow2'/><source file='/d/vda'/><target dev='vda'/></disk>"
                        + "<disk type='file' device='disk'><driver type='qcow2'/><source file='/d/vdb'/><target dev='vdb'/></disk>"
                ))
        },
        .init("disk left out on purpose", "disks-as-recorded", .ok, "vda and vdb") {
            $0.relationship?.excludedDisks = ["vdb"]
            try $0.define(
                disk(
                    "<disk type='file' device='disk'><driver type='qcow2'/><source file='/d/vda'/><target dev='vda'/></disk>"
                        + "<disk type='file' device='disk'><driver type='qcow2'/><source file='/d/vdb'/><target dev='vdb'/></disk>"
                ))
        },
        .init("disk taken away", "disks-as-recorded", .warn, "taken away: vda") { try $0.define(disk("")) },
        .init("UEFI", "firmware-state", .ok, "UEFI") {
            try $0.define(VMFacts.healthyXML(os: "<os firmware='efi'><type>hvm</type></os>"))
        },
        .init("a TPM of the host", "firmware-state", .fail, "passthrough") {
            try $0.define(VMFacts.healthyXML(devices: "<tpm model='tpm-tis'><backend type='passthrough'/></tpm>"))
        },
        .init("TPM", "firmware-state", .ok, "TPM") {
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
}
