import Foundation
import TestSupport
import Testing

@testable import Hypervisors

/// The driver against a real libvirtd and real QEMU processes (no guest system is needed).
@Suite(
    "libvirt driver on a libvirtd of its own", .serialized,
    .enabled(if: PrivateLibvirt.obstacle == nil, Comment(rawValue: PrivateLibvirt.obstacle ?? "possible")))
struct LibvirtGuestTests {
    let uuid = UUID().uuidString.lowercased()

    private func code(_ body: () async throws -> Void) async -> HypervisorError.Code? {
        do {
            try await body()
            return nil
        } catch { return (error as? HypervisorError)?.code }
    }

    @Test("power, links, ownership, autostart and sizes, each twice without harm")
    func power() async throws {
        try await PrivateLibvirt.with { site in
            let host = site.host
            try site.createDisk("d.qcow2")
            let nic = "<interface type='ethernet'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>"
            try await host.define(
                xml: site.definition(
                    "g", uuid: uuid, disks: [site.disk("d.qcow2")],
                    nics: nic
                        + nic.replacing(
                            ":01'", with: ":02'")))
            func vm() async throws -> Domain { try #require(try await host.domain(uuid: uuid)) }
            #expect(
                try await vm().disks == [
                    DomainDisk(
                        target: "vda", path: site.disk("d.qcow2"), format: "qcow2", isReadOnly: false, size: 64 << 20)
                ])
            #expect(try await vm().nics.map(\.linkIsUp) == [true, true])
            for _ in 1...2 { try await host.setLinks(uuid: uuid, up: false) }
            #expect(try await vm().nics.map(\.linkIsUp) == [false, false])

            for _ in 1...2 { try await host.start(uuid: uuid, paused: true) }
            #expect(try await vm().power == .paused)
            #expect(try await vm().nics.map(\.linkIsUp) == [false, false])
            #expect(try await vm().disks.map(\.size) == [64 << 20])
            for _ in 1...2 { try await host.resume(uuid: uuid) }
            #expect(try await vm().power == .running)
            try await host.setLinks(uuid: uuid, up: true)
            #expect(try await vm().nics.map(\.linkIsUp) == [true, true])
            #expect(try DomainDefinition(xml: try await host.inactiveXML(uuid: uuid)).nics.allSatisfy(\.linkIsUp))
            try await host.setLinks(uuid: uuid, up: false)
            let link = try run("virsh", ["-c", site.uri, "domif-getlink", "g", "52:54:00:00:00:02"])
            #expect(link.contains("down"))

            let record = Ownership(relationship: "r", owner: "h", epoch: 2)
            try await host.setOwnership(uuid: uuid, record)
            #expect(try await host.ownership(uuid: uuid) == record)
            let live = try DomainDefinition(xml: try run("virsh", ["-c", site.uri, "dumpxml", "g"]))
            #expect(live.ownership == record)
            for on in [true, true, false, false] {
                try await host.setAutostart(uuid: uuid, on)
                #expect(try await vm().autostart == on)
            }

            // No guest system obeys the button: the limit ends the wait.
            #expect(try await host.shutDown(uuid: uuid, limit: .seconds(2)) == false)
            #expect(try await vm().power == .running)
            for _ in 1...2 { try await host.destroy(uuid: uuid) }
            #expect(try await vm().power == .off)
            #expect(try await host.shutDown(uuid: uuid, limit: .seconds(2)))
            #expect(try await vm().nics.map(\.linkIsUp) == [false, false])
            #expect(try await host.ownership(uuid: uuid) == record)

            // A running VM that is undefined is forgotten when it ends.
            try await host.start(uuid: uuid, paused: false)
            for _ in 1...2 { try await host.undefine(uuid: uuid) }
            #expect(try await vm().power == .running)
            try await host.destroy(uuid: uuid)
            #expect(try await host.domain(uuid: uuid) == nil)
        }
    }

    @Test("a checkpoint of a paused VM, a full backup and incremental ones show exactly what was written")
    func backups() async throws {
        try await PrivateLibvirt.with { site in
            let host = site.host
            for name in ["a.qcow2", "b.qcow2"] { try site.createDisk(name) }
            let xml = site.definition("g", uuid: uuid, disks: [site.disk("a.qcow2"), site.disk("b.qcow2")])
            try await host.define(xml: xml)
            try await host.start(uuid: uuid, paused: true)
            for _ in 1...2 { try await host.createCheckpoint(uuid: uuid, name: "c1", disks: ["vda", "vdb"]) }
            try site.write("g", offset: "0")
            try await host.resume(uuid: uuid)

            #expect(try await !host.backupIsActive(uuid: uuid))
            try await host.beginBackup(uuid: uuid, site.request(since: nil, checkpoint: "c2"))
            #expect(try await host.backupIsActive(uuid: uuid))
            let exports = try run("nbdinfo", ["--list", "nbd+unix:///?socket=\(site.folder.path)/b.sock"])
            #expect(exports.contains("export=\"vda\""))
            #expect(!exports.contains("export=\"vdb\""))
            #expect(!exports.contains("dirty-bitmap"))
            #expect(
                await code { try await host.beginBackup(uuid: uuid, site.request(since: nil, checkpoint: "x")) }
                    == .busy)
            #expect(try site.scratchFiles == ["\(uuid)-vda.scratch"])
            for _ in 1...2 { try await host.endBackup(uuid: uuid) }
            #expect(try site.scratchFiles.isEmpty)
            #expect(try await !host.backupIsActive(uuid: uuid))

            try site.write("g", offset: "128k")
            #expect(
                try await site.changes(uuid, since: "c2", checkpoint: "c3") == [.init(offset: 128, length: 64)])
            try site.write("g", offset: "256k")
            #expect(try await host.checkpoints(uuid: uuid) == ["c1", "c2", "c3"])
            // Deleting older ones leaves the newest right.
            for _ in 1...2 { try await host.deleteCheckpoint(uuid: uuid, name: "c1", metadataOnly: false) }
            #expect(
                try await site.changes(uuid, since: "c2", checkpoint: "c4")
                    == [.init(offset: 128, length: 64), .init(offset: 256, length: 64)])
            try await host.deleteCheckpoint(uuid: uuid, name: "c2", metadataOnly: false)
            #expect(try await site.changes(uuid, since: "c3", checkpoint: "c5") == [.init(offset: 256, length: 64)])
            #expect(
                await code { _ = try await site.changes(uuid, since: "c2", checkpoint: "c6") } == .checkpointUnusable)
            // A failed begin leaves no checkpoint behind.
            #expect(try await host.checkpoints(uuid: uuid) == ["c3", "c4", "c5"])

            // Both disks at one instant.
            try await host.createCheckpoint(uuid: uuid, name: "both", disks: ["vda", "vdb"])
            try site.write("g", disk: 1, offset: "1M")
            try await host.beginBackup(
                uuid: uuid, site.request(since: "both", checkpoint: "c7", disks: ["vda", "vdb"]))
            #expect(try site.dirty("vda").isEmpty)
            #expect(try site.dirty("vdb") == [.init(offset: 1024, length: 64)])
            try await host.endBackup(uuid: uuid)
        }
    }

    @Test("checkpoints survive a new definition and an ended QEMU, and are unusable after a killed one")
    func survival() async throws {
        try await PrivateLibvirt.with { site in
            let host = site.host
            try site.createDisk("d.qcow2")
            let xml = site.definition("g", uuid: uuid, disks: [site.disk("d.qcow2")])
            try await host.define(xml: xml)
            try await host.start(uuid: uuid, paused: false)
            try await host.createCheckpoint(uuid: uuid, name: "c1", disks: ["vda"])
            try site.write("g", offset: "0")
            try await host.define(xml: try await host.inactiveXML(uuid: uuid))
            try await host.destroy(uuid: uuid)
            try await host.define(xml: try await host.inactiveXML(uuid: uuid))
            #expect(try await host.checkpoints(uuid: uuid) == ["c1"])
            #expect(try site.bitmaps("d.qcow2") == ["c1"])

            // Stopped: libvirt refuses all but forgetting.
            let begin = { try await host.beginBackup(uuid: uuid, site.request(since: "c1", checkpoint: "c2")) }
            #expect(await code(begin) == .unsupported)
            #expect(
                await code { try await host.createCheckpoint(uuid: uuid, name: "c9", disks: ["vda"]) } == .unsupported)
            #expect(
                await code { try await host.deleteCheckpoint(uuid: uuid, name: "c1", metadataOnly: false) }
                    == .unsupported)

            try await host.start(uuid: uuid, paused: false)
            #expect(try await site.changes(uuid, since: "c1", checkpoint: "c2") == [.init(offset: 0, length: 64)])

            // Killed with a backup open: c1 was once closed cleanly and is now marked; c2 and c3 never reached the file.
            try await host.beginBackup(uuid: uuid, site.request(since: "c2", checkpoint: "c3"))
            try site.killGuest("g")
            #expect(try await eventually { try await host.domain(uuid: uuid)?.power == .crashed })
            #expect(try site.bitmaps("d.qcow2") == ["c1!"])
            #expect(try await host.checkpoints(uuid: uuid) == ["c1", "c2", "c3"])
            #expect(try await !host.backupIsActive(uuid: uuid))
            try await host.endBackup(uuid: uuid)
            #expect(try await eventually { try site.scratchFiles.isEmpty })

            // A scratch file that a lost host left is in the way, and is named.
            try await host.start(uuid: uuid, paused: true)
            let stale = "\(site.folder.path)/scratch/\(uuid)-vda.scratch"
            try Data("stale".utf8).write(to: URL(fileURLWithPath: stale))
            let blocked = await #expect(throws: HypervisorError.self) {
                try await host.beginBackup(uuid: uuid, site.request(since: nil, checkpoint: "c4"))
            }
            #expect(blocked?.hint?.contains(stale) == true)
            try FileManager.default.removeItem(atPath: stale)
            for name in ["c1", "c2", "c3"] {
                let since = { _ = try await site.changes(uuid, since: name, checkpoint: "c4") }
                #expect(await code(since) == .checkpointUnusable)
                let again = { try await host.createCheckpoint(uuid: uuid, name: name, disks: ["vda"]) }
                #expect(await code(again) == .checkpointUnusable)
            }
            // A broken bitmap can be removed; for one that is missing only the record is left to remove.
            try await host.deleteCheckpoint(uuid: uuid, name: "c1", metadataOnly: false)
            #expect(try site.bitmaps("d.qcow2").isEmpty)
            for name in ["c2", "c3"] {
                let delete = { try await host.deleteCheckpoint(uuid: uuid, name: name, metadataOnly: false) }
                #expect(await code(delete) == .checkpointUnusable)
                for _ in 1...2 { try await host.deleteCheckpoint(uuid: uuid, name: name, metadataOnly: true) }
            }
            #expect(try await host.checkpoints(uuid: uuid).isEmpty)
            try await host.beginBackup(uuid: uuid, site.request(since: nil, checkpoint: "n1"))
            try await host.endBackup(uuid: uuid)
            try site.write("g", offset: "512k")
            #expect(try await site.changes(uuid, since: "n1", checkpoint: "n2") == [.init(offset: 512, length: 64)])

            // Undefining forgets checkpoints; their bitmaps stay in the file.
            try await host.destroy(uuid: uuid)
            try await host.undefine(uuid: uuid)
            #expect(try site.bitmaps("d.qcow2").contains("n2"))
        }
    }

    @Test("a chain of extended-L2 overlays is folded under the running VM, checkpoints go down with it")
    func chain() async throws {
        try await PrivateLibvirt.with { site in
            let host = site.host
            let options = ["-o", "extended_l2=on,cluster_size=128k"]
            try site.createDisk("base.raw", format: "raw")
            try site.createDisk("p1.qcow2", options: options + ["-b", site.disk("base.raw"), "-F", "raw"], size: nil)
            try site.createDisk(
                "top.qcow2", options: options + ["-b", site.disk("p1.qcow2"), "-F", "qcow2"], size: nil)
            var definition = try DomainDefinition(xml: site.definition("g", uuid: uuid, disks: ["/x"]))
            let chain = [("top.qcow2", "qcow2"), ("p1.qcow2", "qcow2"), ("base.raw", "raw")]
                .map { DomainDefinition.Layer(path: site.disk($0), format: $1) }
            try definition.setDisk("vda", chain: chain)
            try await host.define(xml: definition.xml)

            let fold = { (base: String) in
                try await host.commitChain(uuid: uuid, disk: "vda", into: site.disk(base), limit: .seconds(60))
            }
            #expect(await code { try await fold("p1.qcow2") } == .unsupported)
            try await host.start(uuid: uuid, paused: true)
            try await host.createCheckpoint(uuid: uuid, name: "c1", disks: ["vda"])
            try await host.resume(uuid: uuid)
            try site.write("g", offset: "4k", length: "4k")
            try site.write("g", offset: "1M")
            #expect(await code { try await fold("other.qcow2") } == .invalidDefinition)

            for _ in 1...2 { try await fold("p1.qcow2") }
            let stored = try DomainDefinition(xml: try await host.inactiveXML(uuid: uuid))
            #expect(stored.disks[0].chain == Array(chain.dropFirst()))
            #expect(try await host.domain(uuid: uuid)?.disks.map(\.path) == [site.disk("p1.qcow2")])
            try site.write("g", offset: "2M")
            #expect(
                try await site.changes(uuid, since: "c1", checkpoint: "c2")
                    == [.init(offset: 0, length: 64), .init(offset: 1024, length: 64), .init(offset: 2048, length: 64)])
            try site.write("g", offset: "3M")
            #expect(try await site.changes(uuid, since: "c2", checkpoint: "c3") == [.init(offset: 3072, length: 64)])
            #expect(try await host.checkpoints(uuid: uuid) == ["c1", "c2", "c3"])

            // A commit that another begun and left is driven on.
            _ = try run(
                "virsh", ["-c", site.uri, "blockcommit", "g", "vda", "--active", "--base", site.disk("base.raw")])
            try await fold("base.raw")
            #expect(try await host.domain(uuid: uuid)?.disks.map(\.path) == [site.disk("base.raw")])
            // Raw files have no bitmaps: the checkpoints are gone with the last qcow2 layer.
            let since = { _ = try await site.changes(uuid, since: "c3", checkpoint: "c4") }
            #expect([.checkpointUnusable, .unsupported].contains(await code(since)))
            try await host.destroy(uuid: uuid)
            let written = try run("qemu-io", ["-r", "-f", "raw", "-c", "read -P 7 3M 64k", site.disk("base.raw")])
            #expect(!written.contains("Pattern verification failed"))
        }
    }

    @Test("a daemon that is stopped or dead is unreachable in time; after its return the next call works")
    func daemon() async throws {
        try await PrivateLibvirt.with { site in
            let host = try LibvirtHypervisor(
                uri: site.uri, openLimit: .milliseconds(300), callLimit: .milliseconds(300))
            try site.createDisk("d.qcow2")
            try await site.host.define(xml: site.definition("g", uuid: uuid, disks: [site.disk("d.qcow2")]))
            try await site.host.start(uuid: uuid, paused: false)
            #expect(await eventually { (try? await host.domains().map(\.name)) == ["g"] })

            site.signalDaemon(SIGSTOP)
            for _ in 1...6 { #expect(await code { _ = try await host.domains() } == .unreachable) }
            site.signalDaemon(SIGCONT)
            #expect(await eventually { (try? await host.domains().map(\.name)) == ["g"] })

            site.killDaemon()
            let begun = ContinuousClock.now
            #expect(await code { _ = try await host.domains() } == .unreachable)
            #expect(ContinuousClock.now - begun < .seconds(60))
            try await site.startDaemon()
            // The guest lived on without its daemon.
            #expect(try await site.host.domain(uuid: uuid)?.power == .running)
            try await site.host.destroy(uuid: uuid)
        }
    }

    @Test("a new definition discards saved memory, which belongs to other disks")
    func savedMemory() async throws {
        try await PrivateLibvirt.with { site in
            let host = site.host
            try site.createDisk("d.qcow2")
            try await host.define(xml: site.definition("g", uuid: uuid, disks: [site.disk("d.qcow2")]))
            try await host.start(uuid: uuid, paused: true)
            let saved = {
                try run("virsh", ["-c", site.uri, "dominfo", "g"]).split(separator: "\n")
                    .contains { $0.hasPrefix("Managed save:") && $0.hasSuffix("yes") }
            }
            _ = try run("virsh", ["-c", site.uri, "managedsave", "g"])
            #expect(try saved())
            try await host.define(xml: try await host.inactiveXML(uuid: uuid))
            #expect(try !saved())
            try await host.undefine(uuid: uuid)
        }
    }
}
