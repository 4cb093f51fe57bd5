package import SiteModel

extension AgentService {
    /// Disks of one point that are sent side by side.
    private static var disksAtOnce: Int { 4 }

    package func sendPoint(
        _ request: SendPoint, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> TransferSummary {
        guard !request.disks.isEmpty, Set(request.disks.map(\.target)).count == request.disks.count else {
            throw ReplicationError(
                .invalidArgument, "a point has at least one disk and each disk once", hint: "correct the list of disks")
        }
        let meter = TransferMeter(report: progress)
        var checksums: [String: String] = [:]
        try await withThrowingTaskGroup(of: (String, Hash128).self) { group in
            var waiting = request.disks[...]
            func startNext() {
                guard let disk = waiting.popFirst() else { return }
                group.addTask {
                    let interrupt = try Interrupt()
                    let sender = DiskSender(ticket: request.ticket, disk: disk, meter: meter, interrupt: interrupt)
                    return try await onThread("agent-send-\(disk.target)", interrupt: interrupt) {
                        (disk.target, try sender.run())
                    }
                }
            }
            for _ in 0..<Self.disksAtOnce { startNext() }
            // The first failure cancels the rest, and is the one that is thrown.
            while let (target, checksum) = try await group.next() {
                checksums[target] = checksum.hexadecimal
                startNext()
            }
        }
        meter.reportNow()
        let totals = meter.totals
        return TransferSummary(
            bytes: totals.sent, scanned: totals.scanned, seconds: meter.seconds, checksums: checksums)
    }

    package func changedExtents(image: DiskImage, bitmap: String) async throws -> [ByteRange]? {
        let interrupt = try Interrupt()
        do {
            return try await onThread("agent-bitmap", interrupt: interrupt) {
                let source = try openImage(image, bitmap: bitmap, interrupt: interrupt)
                defer { source.close() }
                return try source.changes(bitmap: bitmap).ranges(atMost: Self.extentLimit)
            }
        } catch let error as ReplicationError where error.code == .noUsableBitmap {
            return nil
        }
    }
}
