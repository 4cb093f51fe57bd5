/// The disks of one point, all open from before the first byte is read until after the last.
///
/// QEMU's image locks keep a stopped VM from being started in between, so that what is read of its disks is one instant.
struct HeldDisks: Sendable {
    /// A disk with its open source; the interrupt ends whatever waits on it.
    struct Disk: Sendable {
        let disk: SourceDisk
        let source: any ExtentSource
        let interrupt: Interrupt
        /// Mark of the file, when it is read at rest.
        let mark: String?
    }

    let disks: [Disk]

    /// Opens all disks side by side; the first that cannot be opened closes the others, and is what is thrown.
    static func open(_ disks: [SourceDisk]) async throws -> HeldDisks {
        let opened = try await withThrowingTaskGroup(of: Result<Disk, any Error>.self) { group in
            for disk in disks {
                let interrupt = try Interrupt()
                group.addTask {
                    do {
                        return .success(
                            try await onThread("agent-open-\(disk.target)", interrupt: interrupt) {
                                let source = try disk.open(interrupt)
                                // Taken while the image's lock is held: it cannot change before the disk is read.
                                return Disk(
                                    disk: disk, source: source, interrupt: interrupt, mark: try disk.fileMark())
                            })
                    } catch { return .failure(error) }
                }
            }
            var opened: [Disk] = []
            var failure: (any Error)?
            for try await result in group {
                switch result {
                case .success(let disk): opened.append(disk)
                case .failure(let error):
                    if failure == nil { failure = error }
                    group.cancelAll()
                }
            }
            if failure == nil, Task.isCancelled { failure = ReplicationError.givenUp }
            if let failure {
                await HeldDisks(disks: opened).close()
                throw failure
            }
            return opened
        }
        // In the order asked for, whichever was open first.
        return HeldDisks(disks: disks.compactMap { disk in opened.first { $0.disk.target == disk.target } })
    }

    /// Lets go of all disks.
    func close() async {
        // Ending a helper process waits for it.
        try? await onThread("agent-close") { [disks] in
            for entry in disks { entry.source.close() }
        }
    }
}
