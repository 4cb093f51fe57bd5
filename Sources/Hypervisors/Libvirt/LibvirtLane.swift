internal import CLibvirt
internal import Foundation

#if canImport(Glibc)
internal import Glibc
#endif

/// One connection and the one thread that uses it.
///
/// libvirt's calls block, and its errors are kept a thread; so calls run here, in order, never on Swift's own threads.
/// A call that hangs (a daemon that is stopped, not dead, answers nothing) cannot be called back: the lane is then
/// abandoned with its thread, whoever waits is told, and the next call gets a new lane.
final class LibvirtLane: @unchecked Sendable {
    /// What is done on the thread, and what is told to the caller when it cannot be.
    struct Job: Sendable {
        let run: @Sendable (LibvirtConnection) -> Void
        let fail: @Sendable (HypervisorError) -> Void
    }

    /// Guards `waiting`, `current` and `end`.
    private let condition = NSCondition()
    private var waiting: [Job] = []
    private var current: Job?
    private var end: HypervisorError?

    init(uri: LibvirtURI, onExit: @escaping @Sendable () -> Void) {
        let thread = Thread { [self] in
            Self.blockBrokenPipe()
            let connection = LibvirtConnection(uri: uri)
            while let job = next() {
                job.run(connection)
                finish()
            }
            connection.close()
            onExit()
        }
        thread.name = "libvirt"
        thread.start()
    }

    /// Writing to a daemon that has died raises SIGPIPE, on the thread that writes; there it is held back, and the
    /// call fails with an error instead of the process.
    private static func blockBrokenPipe() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    func submit(_ job: Job) {
        condition.lock()
        if let end {
            condition.unlock()
            return job.fail(end)
        }
        waiting.append(job)
        condition.signal()
        condition.unlock()
    }

    /// Ends the lane: the job under way and those that wait fail with `error`.
    func abandon(_ error: HypervisorError) {
        condition.lock()
        let told = (current.map { [$0] } ?? []) + waiting
        waiting = []
        end = end ?? error
        condition.signal()
        condition.unlock()
        for job in told { job.fail(error) }
    }

    private func next() -> Job? {
        condition.lock()
        defer { condition.unlock() }
        while waiting.isEmpty && end == nil { condition.wait() }
        guard end == nil else { return nil }
        current = waiting.removeFirst()
        return current
    }

    /// Lets go of the job that has run.
    ///
    /// Outside the lock: the job may hold the last reference to the hypervisor, whose
    /// end takes the lock again.
    private func finish() {
        condition.lock()
        let finished = current
        current = nil
        condition.unlock()
        withExtendedLifetime(finished) {}
    }
}

/// A libvirt connection, open or to be opened.
///
/// Used on its lane's thread alone.
final class LibvirtConnection {
    private let uri: LibvirtURI
    private var handle: OpaquePointer?

    init(uri: LibvirtURI) { self.uri = uri }

    /// The open connection.
    ///
    /// One that has died since the last call is opened anew: a cheap call asks it first, since
    /// without an event loop the library learns of a closed socket only by using it.
    func open() throws -> OpaquePointer {
        LibvirtLibrary.prepare()
        if let handle {
            var version: UInt = 0
            if virConnectGetLibVersion(handle, &version) == 0 { return handle }
            close()
        }
        guard let opened = virConnectOpen(uri.text) else { throw unreachable(LibvirtLibrary.lastFailure()) }
        handle = opened
        return opened
    }

    /// What a failed call means when the connection did not survive it.
    func explain(_ error: any Error) -> any Error {
        guard let handle, virConnectIsAlive(handle) != 1 else { return error }
        let failure = (error as? HypervisorError)?.cause as? LibvirtFailure
        close()
        return unreachable(failure ?? LibvirtFailure(number: 0, domain: 0, message: "\(error)"))
    }

    private func unreachable(_ failure: LibvirtFailure) -> HypervisorError {
        let message = failure.message.replacing(uri.text, with: uri.display)
        return HypervisorError(
            .unreachable, "host \(uri.display) does not answer: \(message)",
            hint: "see that libvirtd runs at the host and that this user may use its socket",
            cause: LibvirtFailure(number: failure.number, domain: failure.domain, message: message))
    }

    func close() {
        if let handle { virConnectClose(handle) }
        handle = nil
    }
}

/// A continuation that is resumed once: by the answer or by the deadline, whichever is first.
final class OneAnswer<Value: Sendable>: Sendable {
    private let continuation: Locked<CheckedContinuation<Value, any Error>?>

    init(_ continuation: CheckedContinuation<Value, any Error>) { self.continuation = Locked(continuation) }

    func give(_ result: Result<Value, any Error>) {
        let waiting = continuation.withLock { continuation in
            defer { continuation = nil }
            return continuation
        }
        waiting?.resume(with: result)
    }
}
