import BlockReplication
package import SiteModel

/// Room that a pull backup needs at the source: until its end, what the guest overwrites is kept in scratch files.
package enum ScratchReserve {
    /// Bytes that must be free before a backup of these disks begins: a tenth of them, 256 MiB at least.
    package static func bytes(for disks: [ReplicatedDisk]) -> UInt64 {
        max(256 << 20, disks.reduce(0) { $0 + $1.size } / 10)
    }
}

/// Keeping a backup from filling the source's file system: then the guest itself would get write errors.
extension JobDriver {
    func checkScratch(at source: any Agent) async throws {
        let needed = ScratchReserve.bytes(for: relationship.disks)
        let status = try await source.status()
        guard status.freeBytes >= needed else {
            throw EngineError(
                .failed,
                "the source's store \(status.store) has \(status.freeBytes >> 20) MiB free; "
                    + "a cycle needs \(needed >> 20) MiB of scratch space",
                hint: "free space there: without scratch space there is no cycle", object: relationship.name)
        }
    }

    /// Sends, and gives the cycle up when three quarters of the reserve are used: the backup ends, the map is kept.
    func sendWatchingScratch(_ request: SendPoint, by sender: any Agent) async throws -> TransferSummary {
        // A leg is ended by its sender, which looks more often; this is for a sender that does not.
        let least = ScratchReserve.bytes(for: relationship.disks) / (request.limits == nil ? 4 : 8)
        let (clock, name) = (dependencies.clock, relationship.name)
        return try await withThrowingTaskGroup(of: TransferSummary?.self) { group in
            group.addTask { try await self.send(request, by: sender) }
            group.addTask {
                while !Task.isCancelled {
                    try await clock.sleep(seconds: 1)
                    guard let status = try? await sender.status(), status.freeBytes < least else { continue }
                    throw EngineError(
                        .failed, "scratch space at the source ran low while \(name) was copied: the cycle was ended",
                        hint: "free space below \(status.store); the guest was not harmed",
                        object: name)
                }
                return nil
            }
            defer { group.cancelAll() }
            while let summary = try await group.next() {
                if let summary { return summary }
            }
            throw CancellationError()
        }
    }
}
