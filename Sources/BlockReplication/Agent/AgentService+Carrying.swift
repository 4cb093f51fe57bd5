import Foundation
import Glibc
import SiteModel

/// A first copy that is carried: the same point as any other, in a folder of its own with checksums of its files.
extension AgentService {
    package func openExport(_ request: ExportPoint) async throws -> PointTicket {
        let point = request.point
        return try await gate.pass(point.relationship) {
            if let other = incoming[point.relationship] {
                await Self.end(other, ReplicationError.replaced)
                incoming.remove(other)
            }
            guard point.previous == nil else {
                throw ReplicationError(
                    .invalidArgument, "only a first copy is carried", hint: "send later points over the network")
            }
            let folder = try checkedFolder(request.folder, name: request.name, writable: true)
            try checkSpace(in: request.folder, for: request)
            try makeFolder(folder, rights: 0o700)
            let record = try records.read(point.relationship)
            let fresh = Manifest(
                relationship: point.relationship, vmName: point.vm.name, vmUUID: point.vm.uuid,
                epoch: record?.epoch ?? 0, owner: record?.owner ?? "")
            // What an earlier attempt left is no copy any more: its VM has written on.
            let earlier = try PointStore.openOrCreate(root: folder, fresh)
            try await earlier.destroy()
            await earlier.close()
            let store = try PointStore.openOrCreate(root: folder, fresh)
            let draft = try await store.beginPoint(
                generation: point.generation, parent: nil,
                disks: point.disks.map { DiskPlan(target: $0.target, size: $0.size) })
            let incoming = try IncomingPoint(
                relationship: point.relationship, generation: point.generation, draft: draft,
                disks: draft.writers.mapValues { IncomingPoint.Disk(writer: $0, newest: nil) }, export: store)
            self.incoming.put(incoming)
            var ticket = ticket(incoming)
            ticket.held = []
            return ticket
        }
    }

    /// Writes the checksums beside the files and lets go of the folder, so that it can be carried away.
    func finish(_ export: PointStore) async throws {
        try await export.writeChecksums()
        await export.close()
    }

    package func importPoint(_ request: ImportPoint) async throws -> PointSummary {
        try await gate.pass(request.relationship) {
            if let store = try await stores.existing(request.relationship),
                let there = await store.manifest.point(request.generation)
            {
                return PointSummary(there)
            }
            let folder = try checkedFolder(request.folder, name: request.name, writable: false)
            let carried = try CarriedPoint(folder: folder, request)
            let needed = try carried.allocatedBytes()
            let free = try await status().freeBytes
            guard free > needed else {
                throw ReplicationError(
                    .io, "the store \(store) has \(free >> 20) MiB free for a first copy of \(needed >> 20) MiB",
                    hint: "free space there, and import it again")
            }
            let store = try await stores.orNew(
                Manifest(
                    relationship: request.relationship, vmName: request.vm.name, vmUUID: request.vm.uuid,
                    epoch: request.epoch, owner: request.owner))
            return PointSummary(try await store.takeIn(carried))
        }
    }

    // MARK: Prerequisites

    /// The VM's folder in a folder that exists, may be used, and is none of this agent's own.
    private func checkedFolder(_ folder: String, name: String, writable: Bool) throws -> String {
        try StoreNames.checkAbsolutePath(folder)
        guard StoreNames.isFolderName(name) else {
            throw ReplicationError(
                .invalidArgument, "\(name.debugDescription) cannot be the name of a folder",
                hint: "the engine names it after the VM and its id")
        }
        var status = stat()
        guard stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw ReplicationError(
                .notFound, "there is no folder \(folder) at site \(site)",
                hint: "mount or make it at the agent's host, and give the command again")
        }
        guard access(folder, writable ? R_OK | W_OK | X_OK : R_OK | X_OK) == 0 else {
            throw ReplicationError.system(
                writable ? "writing to the folder" : "reading the folder", path: folder, errno: errno)
        }
        let (real, own) = (StoreDirectory.canonical(folder), StoreDirectory.canonical(store))
        guard real != own, !real.hasPrefix(own + "/"), !own.hasPrefix(real + "/") else {
            throw ReplicationError(
                .invalidArgument, "\(folder) is not apart from the agent's own store \(store)",
                hint: "name a folder on the medium that is carried")
        }
        return folder + "/" + name
    }

    /// The copy takes about what the disks' files take now.
    private func checkSpace(in folder: String, for request: ExportPoint) throws {
        var needed: UInt64 = 0
        for (index, disk) in request.point.disks.enumerated() {
            let image = index < request.images.count ? try? ImageFile(reading: request.images[index].path) : nil
            needed += min(try image?.allocatedBytes() ?? disk.size, disk.size)
        }
        var space = statvfs()
        guard statvfs(folder, &space) == 0 else {
            throw ReplicationError.system("asking for the free space of the folder", path: folder, errno: errno)
        }
        let free = UInt64(space.f_bavail) * UInt64(space.f_frsize)
        guard free > needed else {
            throw ReplicationError(
                .io, "\(folder) has \(free >> 20) MiB free for a first copy of \(needed >> 20) MiB",
                hint: "take a larger medium, or make the first copy over the network")
        }
    }
}
