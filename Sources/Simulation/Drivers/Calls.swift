internal import BlockReplication
internal import Hypervisors
internal import SiteModel

/// Which of the two stand-ins is called: their ways of saying that something is wrong differ.
enum Callee: String {
    case hypervisor, agent

    func unreachable(_ host: String) -> any Error {
        switch self {
        case .hypervisor:
            HypervisorError(
                .unreachable, "host \(host) does not answer", hint: "see that libvirtd runs at the host")
        case .agent:
            ReplicationError(.disconnected, "the agent of \(host) does not answer", hint: "start it at the host")
        }
    }

    func failed(_ call: String, _ host: String) -> any Error {
        switch self {
        case .hypervisor: HypervisorError(.failed, "\(call) failed at \(host)", hint: "a fault of this world says so")
        case .agent:
            ReplicationError(.io, "\(call) failed at \(host)", hint: "a fault of this world says so")
        }
    }

    func timedOut(_ call: String, _ host: String) -> any Error {
        switch self {
        case .hypervisor:
            HypervisorError(
                .timedOut, "\(call) at \(host) did not come to an end", hint: "look at the host: its disks may hang")
        case .agent:
            ReplicationError(
                .timedOut, "\(call) at \(host) did not come to an end", hint: "look at the host: its disks may hang")
        }
    }
}

extension World {
    /// One call to a host: takes its time, meets what befalls it, does its work at one instant, and is noted.
    func call<Result: Sendable>(
        _ callee: Callee, _ name: String, at host: String, about subject: String, seconds: Double,
        by life: EngineLife? = nil, _ body: (inout WorldState, Timestamp) throws -> Result
    ) async throws -> Result {
        // Its whole name is made when somebody asks for it: most calls meet no fault and are not noted.
        var call: String { "\(callee.rawValue).\(name)" }
        try life?.begin()
        let fault = change { state -> Fault.Effect? in
            guard !state.faults.isEmpty, state.hosts[host]?.answers == true else { return nil }
            return state.fault(call, subject, at: host)
        }
        var wait = seconds
        if case .slow(let factor)? = fault { wait *= factor }
        if case .hangs(let limit)? = fault { wait = limit }
        await clock.pass(seconds: wait)
        if life?.isOver == true { throw EngineDied() }
        let now = clock.now
        let result = try change { state in
            do {
                guard state.hosts[host]?.answers == true else { throw callee.unreachable(host) }
                switch fault {
                case .fails: throw callee.failed(call, host)
                case .hangs: throw callee.timedOut(call, host)
                case .losesAnswer, .slow, nil: break
                }
                let result = try body(&state, now)
                if fault == .losesAnswer { throw callee.failed("the answer to \(call)", host) }
                if state.isTracing { state.note(now, host, call, subject, "ok") }
                return result
            } catch {
                if state.isTracing { state.note(now, host, call, subject, "\(error)") }
                throw error
            }
        }
        try life?.hear()
        return result
    }
}

extension WorldState {
    mutating func note(_ now: Timestamp, _ host: String, _ call: String, _ subject: String, _ outcome: String) {
        guard isTracing else { return }
        trace.append("\(now.milliseconds) \(host) \(call) \(subject): \(outcome)")
    }

    /// How quick a host is.
    func speeds(_ host: String) -> HostSpeeds { hosts[host]?.speeds ?? HostSpeeds() }
}
