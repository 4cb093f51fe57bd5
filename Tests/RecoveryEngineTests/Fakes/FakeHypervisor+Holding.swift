import Hypervisors
import SiteModel
import Synchronization

extension FakeHypervisor {
    func hold(uuid: String, as hold: GuestHold, limit: Duration) async throws {
        try await act("hold", uuid: uuid) { domain in
            guard domain.power == .running else {
                throw HypervisorError(.unsupported, "the VM does not run", hint: "start it")
            }
            if hold == .paused { return domain.power = .paused }
            if domain.agent == .absent { throw Self.noAgent }
            domain.isFrozen = true
        }
        let agent = world.state.withLock { $0.hosts[host]?.domains[uuid]?.agent }
        if hold == .frozen, agent == .freezesUnheard || agent == .freezesForGood { throw Self.silent }
    }

    func letGo(uuid: String, from hold: GuestHold) async throws -> Bool {
        try await fuse.effect("\(host).let-go") {
            try world.change { state in
                _ = try state.host(host)
                guard var domain = state.hosts[host]?.domains[uuid], domain.power.isActive else { return false }
                let was = hold == .paused ? domain.power == .paused : domain.isFrozen
                if hold == .paused {
                    if was { state.checkStart(uuid, at: host) }
                    domain.power = .running
                } else {
                    if domain.agent == .absent { throw Self.noAgent }
                    if domain.agent == .freezesForGood { throw Self.silent }
                    domain.isFrozen = false
                }
                state.hosts[host]?.domains[uuid] = domain
                return was
            }
        }
    }

    private static var silent: HypervisorError {
        HypervisorError(.timedOut, "the agent does not answer", hint: "look at the guest")
    }

    private static var noAgent: HypervisorError {
        HypervisorError(.unsupported, "no guest agent runs", hint: "start it")
    }
}
