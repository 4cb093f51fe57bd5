internal import CLibvirt
internal import Foundation

/// A host reached through libvirt's C API.
///
/// One connection a host, opened at the first call and again when it has died. Each call may take `callLimit`; a host
/// that does not even answer a greeting within `openLimit` is `unreachable`. After either, what was asked may still
/// happen: callers look before they act again.
package final class LibvirtHypervisor: Hypervisor {
    /// The connection URI without its secrets.
    package var displayURI: String { uri.display }

    let clock: any Clock<Duration>
    let uri: LibvirtURI
    let openLimit: Duration
    let callLimit: Duration
    private let state = Locked(State())

    private struct State {
        var lane: LibvirtLane?
        /// Threads that still hang in a call nobody waits for.
        var stuck = 0
    }

    /// A host that stays stopped must not eat a thread a call.
    private static let stuckLimit = 4

    /// Makes the driver; nothing is connected yet.
    ///
    /// Throws `unsupported` for a URI that may not be used.
    package init(
        uri: String, openLimit: Duration = .seconds(10), callLimit: Duration = .seconds(120),
        clock: any Clock<Duration> = ContinuousClock()
    ) throws {
        self.uri = try LibvirtURI(uri)
        self.openLimit = openLimit
        self.callLimit = callLimit
        self.clock = clock
    }

    deinit {
        let closed = HypervisorError(.unreachable, "the connection was closed", hint: "connect again")
        state.withLock { $0.lane }?.abandon(closed)
    }

    /// Runs `body` with the open connection on the host's thread.
    func call<Value: Sendable>(
        _ body: @escaping @Sendable (OpaquePointer) throws -> Value
    ) async throws -> Value {
        let lane = try currentLane()
        return try await withCheckedThrowingContinuation { continuation in
            let answer = OneAnswer(continuation)
            lane.submit(
                LibvirtLane.Job(
                    run: { [openLimit, callLimit] connection in
                        let opening = self.deadline(openLimit, lane, "host \(self.uri.display) does not answer")
                        let opened = Result { try connection.open() }
                        opening.cancel()
                        let running = self.deadline(callLimit, lane, "a call to host \(self.uri.display) does not end")
                        let result = opened.flatMap { handle in
                            Result { try body(handle) }.mapError(connection.explain)
                        }
                        running.cancel()
                        answer.give(result)
                    },
                    fail: { answer.give(.failure($0)) }))
        }
    }

    private func currentLane() throws -> LibvirtLane {
        try state.withLock { state in
            if let lane = state.lane { return lane }
            guard state.stuck < Self.stuckLimit else {
                throw HypervisorError(
                    .unreachable, "host \(uri.display) does not answer, \(state.stuck) calls still hang",
                    hint: "its libvirtd is stopped or overloaded: continue or restart it")
            }
            let lane = LibvirtLane(uri: uri) { [weak self] in self?.laneEnded() }
            state.lane = lane
            return lane
        }
    }

    /// Abandons the lane unless cancelled before the limit.
    private func deadline(_ limit: Duration, _ lane: LibvirtLane, _ message: String) -> Task<Void, Never> {
        Task { [clock] in
            guard (try? await clock.sleep(for: limit)) != nil, !Task.isCancelled else { return }
            state.withLock { state in
                guard state.lane === lane else { return }
                state.lane = nil
                state.stuck += 1
            }
            lane.abandon(
                HypervisorError(
                    .unreachable, "\(message) within \(limit)",
                    hint: "see whether libvirtd at the host is stopped or overloaded; what was asked may still happen"))
        }
    }

    /// A hung call has come back after all, and its thread ended.
    private func laneEnded() { state.withLock { $0.stuck = max(0, $0.stuck - 1) } }
}

// MARK: - Handles

extension LibvirtHypervisor {
    /// Runs `body` with the domain of that UUID; throws `unknownDomain` when there is none.
    func onDomain<Value: Sendable>(
        _ uuid: String, _ body: @escaping @Sendable (OpaquePointer) throws -> Value
    ) async throws -> Value {
        try await call { connection in
            guard let domain = try Self.find(uuid, connection) else {
                throw HypervisorError(
                    .unknownDomain, "the host knows no VM with UUID \(uuid)",
                    hint: "list the host's VMs: it may have been undefined")
            }
            defer { virDomainFree(domain) }
            return try body(domain)
        }
    }

    /// The domain's handle, to be freed by the caller; nil when there is none.
    static func find(_ uuid: String, _ connection: OpaquePointer) throws -> OpaquePointer? {
        guard let parsed = UUID(uuidString: uuid) else {
            throw HypervisorError(.unknownDomain, "'\(uuid.prefix(64))' is not a UUID", hint: "give the VM's UUID")
        }
        if let domain = virDomainLookupByUUIDString(connection, parsed.uuidString.lowercased()) { return domain }
        let error = LibvirtLibrary.error("find VM \(uuid)")
        if error.code == .unknownDomain { return nil }
        throw error
    }

    static func isActive(_ domain: OpaquePointer) throws -> Bool {
        let active = virDomainIsActive(domain)
        try LibvirtLibrary.check(active, "ask whether the VM is running")
        return active == 1
    }

    static func isPersistent(_ domain: OpaquePointer) throws -> Bool {
        let persistent = virDomainIsPersistent(domain)
        try LibvirtLibrary.check(persistent, "ask whether the VM is defined")
        return persistent == 1
    }

    /// Which definitions a change is made in: the live one of a running VM, the stored one of a defined VM.
    static func affected(_ domain: OpaquePointer) throws -> UInt32 {
        var flags: UInt32 = 0
        if try isActive(domain) { flags |= VIR_DOMAIN_AFFECT_LIVE.rawValue }
        if try isPersistent(domain) { flags |= VIR_DOMAIN_AFFECT_CONFIG.rawValue }
        return flags
    }

    /// The current definition, or with `inactive` the one of the next start.
    static func definition(_ domain: OpaquePointer, inactive: Bool) throws -> DomainDefinition {
        try DomainDefinition(xml: xml(domain, inactive: inactive))
    }

    static func xml(_ domain: OpaquePointer, inactive: Bool) throws -> String {
        let flags = inactive ? VIR_DOMAIN_XML_INACTIVE.rawValue | VIR_DOMAIN_XML_SECURE.rawValue : 0
        return try LibvirtLibrary.take(virDomainGetXMLDesc(domain, flags), "read the VM's definition")
    }
}
