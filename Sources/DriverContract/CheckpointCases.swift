import BlockReplication
import Hypervisors

extension ContractSite {
    func targets() async throws -> [String] { try await disks().map(\.target) }

    func checkpoint(_ name: String) async throws {
        try await source.createCheckpoint(uuid: vm.uuid, name: name, disks: try await targets())
    }

    func backup(since: String?, checkpoint: String) async throws {
        try await source.beginBackup(
            uuid: vm.uuid,
            BackupRequest(
                since: since, checkpoint: checkpoint, socket: "\(sourceStore)/sockets/contract.sock",
                scratchFolder: "\(sourceStore)/scratch", disks: try await targets()))
    }
}

extension DriverContract {
    static let checkpointCases: [DriverContract] = [
        DriverContract("checkpoints are listed oldest first, kept when made again, and deleted one by one") { site in
            let uuid = site.vm.uuid
            for name in ["one", "two", "three", "two"] { try await site.checkpoint(name) }
            try require("checkpoints", try await site.source.checkpoints(uuid: uuid), ["one", "two", "three"])
            try await site.source.deleteCheckpoint(uuid: uuid, name: "two", metadataOnly: false)
            try await site.source.deleteCheckpoint(uuid: uuid, name: "two", metadataOnly: false)
            try require("checkpoints", try await site.source.checkpoints(uuid: uuid), ["one", "three"])
            try await site.source.deleteCheckpoint(uuid: uuid, name: "one", metadataOnly: false)
            try await site.backup(since: "three", checkpoint: "four")
            try await site.source.endBackup(uuid: uuid)
            try require("checkpoints", try await site.source.checkpoints(uuid: uuid), ["three", "four"])
        },
        DriverContract("checkpoints of no disk, or of one that is not there, are refused") { site in
            let uuid = site.vm.uuid
            try await refused(.invalidDefinition, "no disk") {
                try await site.source.createCheckpoint(uuid: uuid, name: "none", disks: [])
            }
            try await refused(.invalidDefinition, "an unknown disk") {
                try await site.source.createCheckpoint(uuid: uuid, name: "none", disks: ["vdz"])
            }
            try require("checkpoints", try await site.source.checkpoints(uuid: uuid), [])
        },
        DriverContract("a record removed without its bitmap keeps the bitmap's name taken") { site in
            let uuid = site.vm.uuid
            try await site.checkpoint("taken")
            try await site.source.deleteCheckpoint(uuid: uuid, name: "taken", metadataOnly: true)
            try require("checkpoints", try await site.source.checkpoints(uuid: uuid), [])
            try await refused(.failed, "the same name") { try await site.checkpoint("taken") }
            try await site.checkpoint("free")
        },
        DriverContract("of a VM that is off nothing is tracked, backed up or folded; only records can be removed") {
            site in
            let uuid = site.vm.uuid
            try await site.checkpoint("one")
            try await site.checkpoint("two")
            let disks = try await site.disks()
            try await site.powerOff()
            try await refused(.unsupported, "a checkpoint") { try await site.checkpoint("three") }
            try await refused(.unsupported, "a backup") { try await site.backup(since: nil, checkpoint: "three") }
            try await refused(.unsupported, "a delete") {
                try await site.source.deleteCheckpoint(uuid: uuid, name: "one", metadataOnly: false)
            }
            try await refused(.unsupported, "a fold") {
                try await site.source.commitChain(
                    uuid: uuid, disk: disks[0].target, into: disks[0].path, limit: .seconds(5))
            }
            try await site.source.deleteCheckpoint(uuid: uuid, name: "two", metadataOnly: true)
            try require("checkpoints", try await site.source.checkpoints(uuid: uuid), ["one"])
            try await site.source.endBackup(uuid: uuid)
        },
        DriverContract("one backup at a time; ending it twice does no harm and leaves its checkpoint") { site in
            let uuid = site.vm.uuid
            try require("before", try await site.source.backupIsActive(uuid: uuid), false)
            try await site.backup(since: nil, checkpoint: "first")
            try require("during", try await site.source.backupIsActive(uuid: uuid), true)
            try await refused(.busy, "a second backup") { try await site.backup(since: nil, checkpoint: "second") }
            for _ in 1...2 { try await site.source.endBackup(uuid: uuid) }
            try require("after", try await site.source.backupIsActive(uuid: uuid), false)
            try require("checkpoints", try await site.source.checkpoints(uuid: uuid), ["first"])
            try await refused(.checkpointUnusable, "changes since what never was") {
                try await site.backup(since: "never", checkpoint: "third")
            }
            try require("checkpoints", try await site.source.checkpoints(uuid: uuid), ["first"])
        },
        DriverContract("a backup of a paused VM works, and ends with the VM") { site in
            let uuid = site.vm.uuid
            try await site.source.suspend(uuid: uuid)
            try await site.backup(since: nil, checkpoint: "paused")
            try await site.source.destroy(uuid: uuid)
            try require("after the end", try await site.power(), .off)
            try await site.source.start(uuid: uuid, paused: false)
            try require("after the next start", try await site.source.backupIsActive(uuid: uuid), false)
        },
        DriverContract("bitmaps outlive a clean end and destroy") { site in
            let uuid = site.vm.uuid
            try await site.checkpoint("kept")
            try await site.source.destroy(uuid: uuid)
            try await site.source.start(uuid: uuid, paused: false)
            try await site.backup(since: "kept", checkpoint: "next")
            try await site.source.endBackup(uuid: uuid)
            try await site.powerOff()
            try await site.source.start(uuid: uuid, paused: false)
            try await site.backup(since: "next", checkpoint: "last")
            try await site.source.endBackup(uuid: uuid)
        },
        DriverContract("a killed QEMU takes the bitmaps with it, and what is left can be cleared away") { site in
            let uuid = site.vm.uuid
            try await site.checkpoint("old")
            try await site.source.destroy(uuid: uuid)
            try await site.source.start(uuid: uuid, paused: false)
            try await site.checkpoint("new")
            try await site.kill()
            try require("records stay", try await site.source.checkpoints(uuid: uuid), ["old", "new"])
            try await site.source.start(uuid: uuid, paused: false)
            for name in ["old", "new"] {
                try await refused(.checkpointUnusable, "changes since \(name)") {
                    try await site.backup(since: name, checkpoint: "after-\(name)")
                }
                try await refused(.checkpointUnusable, "making \(name) again") { try await site.checkpoint(name) }
            }
            try require("no backup", try await site.source.backupIsActive(uuid: uuid), false)
            try require("no new record", try await site.source.checkpoints(uuid: uuid), ["old", "new"])
            try await refused(.checkpointUnusable, "deleting what has no bitmap") {
                try await site.source.deleteCheckpoint(uuid: uuid, name: "new", metadataOnly: false)
            }
            try await site.source.deleteCheckpoint(uuid: uuid, name: "new", metadataOnly: true)
            try await site.source.deleteCheckpoint(uuid: uuid, name: "old", metadataOnly: false)
            try require("checkpoints", try await site.source.checkpoints(uuid: uuid), [])
            try await site.checkpoint("new")
            try await site.backup(since: "new", checkpoint: "fresh")
            try await site.source.endBackup(uuid: uuid)
        },
    ]
}
