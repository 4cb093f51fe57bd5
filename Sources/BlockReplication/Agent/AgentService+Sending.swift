package import SiteModel

extension AgentService {
    /// Disks of one point that are sent side by side.
    private static var disksAtOnce: Int { 4 }
    /// Seconds that a socket is looked at which was still served when its reader let go.
    private static var laterLooks: Int { 120 }

    package func sendPoint(
        _ request: SendPoint, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> TransferSummary {
        guard !request.disks.isEmpty, Set(request.disks.map(\.target)).count == request.disks.count else {
            throw ReplicationError(
                .invalidArgument, "a point has at least one disk and each disk once", hint: "correct the list of disks")
        }
        let meter = TransferMeter(report: progress)
        // Who asked hears that we live, also while nothing moves: a scan, or a target that is slow to take in.
        let ticker = Task { [seconds = limits.progressSeconds] in
            while (try? await Task.sleep(for: .seconds(seconds))) != nil { meter.reportNow() }
        }
        defer { ticker.cancel() }
        let watch = request.limits.map { LegWatch($0, store: store) }
        let held: HeldDisks
        do { held = try await HeldDisks.open(request.disks) } catch {
            await removeDeadSockets(of: request)
            throw error
        }
        watch?.stopWhenScratchRunsOut(held.disks.map(\.interrupt))
        defer { watch?.end() }
        let sent: [String: DiskSender.Sent]
        do {
            sent = try await send(held, request, meter, watch)
        } catch {
            await held.close()
            await removeDeadSockets(of: request)
            // One disk that is given up ends the others at the receiver, and the first word of that may be any.
            throw Task.isCancelled ? ReplicationError.givenUp : error
        }
        await held.close()
        // All may have been read when QEMU was killed, and only the network have been slow.
        await removeDeadSockets(of: request, looks: 1)
        meter.reportNow()
        let totals = meter.totals
        return TransferSummary(
            bytes: totals.sent, scanned: totals.scanned, seconds: meter.seconds,
            checksums: sent.mapValues(\.checksum.hexadecimal),
            leg: watch.map { watch in
                LegSummary(
                    frontiers: sent.compactMapValues(\.frontier),
                    marks: held.disks.reduce(into: [:]) { $0[$1.disk.target] = $1.mark }, renewed: watch.renewed)
            }, differing: sent.values.reduce(0) { $0 + $1.differing },
            marks: held.disks.reduce(into: [:]) { $0[$1.disk.target] = $1.mark })
    }

    /// Removes what a QEMU that was killed in the middle has left: nobody else would before the agent starts anew.
    private func removeDeadSockets(of request: SendPoint, looks: Int = 3) async {
        let sockets = Set(
            request.disks.compactMap { disk in
                if case .export(let socket, _) = disk.from { socket } else { nil }
            })
        // A process that is killed lets go of its connections one after the other.
        for look in 0..<looks where !sockets.isEmpty {
            if look > 0 { try? await Task.sleep(for: .milliseconds(50)) }
            for socket in sockets { ExportFolders.removeSocket(socket, in: store) }
        }
        // Whose engine has gone ends no backup: QEMU may serve on for a while, and be killed only then.
        Task { [store] in
            for _ in 0..<Self.laterLooks where sockets.contains(where: ExportFolders.isThere) {
                try await Task.sleep(for: .seconds(1))
                for socket in sockets { ExportFolders.removeSocket(socket, in: store) }
            }
        }
    }

    /// Sends the disks, some at a time; returns what came of each.
    private func send(
        _ held: HeldDisks, _ request: SendPoint, _ meter: TransferMeter, _ watch: LegWatch?
    ) async throws -> [String: DiskSender.Sent] {
        try await withThrowingTaskGroup(of: (String, DiskSender.Sent).self) { group in
            var all: [String: DiskSender.Sent] = [:]
            var waiting = held.disks[...]
            func startNext() {
                guard let entry = waiting.popFirst() else { return }
                let sender = DiskSender(
                    ticket: request.ticket, held: entry, meter: meter, writeLimitSeconds: limits.writeSeconds,
                    watch: watch, comparesBlocks: limits.comparesBlocks,
                    packing: request.compresses == false ? .never : limits.packing, pace: pace, security: security,
                    handshakeSeconds: limits.handshakeSeconds)
                group.addTask {
                    try await onThread("agent-send-\(entry.disk.target)", interrupt: entry.interrupt) {
                        (entry.disk.target, try sender.run())
                    }
                }
            }
            for _ in 0..<Self.disksAtOnce { startNext() }
            // The first failure cancels the rest, and is the one that is thrown.
            while let (target, sent) = try await group.next() {
                all[target] = sent
                startNext()
            }
            return all
        }
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
