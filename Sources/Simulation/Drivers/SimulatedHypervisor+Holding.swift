internal import Hypervisors
package import SiteModel

extension SimulatedHypervisor {
    package func hold(uuid: String, as hold: GuestHold, limit: Duration) async throws {
        let agent = world.look { $0.hosts[host]?.domains[uuid]?.guest.agent ?? .answers }
        let late = hold == .frozen && (agent == .freezesLate || agent == .silent)
        try await act("hold-\(hold.rawValue)", uuid, takes: \.look) { state, now in
            guard let domain = state.hosts[host]?.domains[uuid] else { throw unknown(uuid) }
            guard domain.power == .running else {
                throw HypervisorError(
                    .unsupported, "VM \(uuid) does not run", hint: "start or resume it: only a running guest is held")
            }
            switch (hold, agent) {
            case (.paused, _): state.pause(uuid, at: host, now)
            case (.frozen, .absent): throw Self.noAgent(uuid)
            case (.frozen, .silent): break
            case (.frozen, _): state.freeze(uuid, at: host, now)
            }
        }
        guard late else { return }
        await world.clock.pass(seconds: limit / .seconds(1))
        throw Self.silent(uuid)
    }

    package func letGo(uuid: String, from hold: GuestHold) async throws -> Bool {
        try await act("let-go-\(hold.rawValue)", uuid, takes: \.look) { state, now in
            guard let domain = state.hosts[host]?.domains[uuid], domain.power.isActive else { return false }
            switch hold {
            case .paused:
                guard domain.power == .paused else { return false }
                state.checkStart(uuid, at: host)
                state.run(uuid, at: host, now)
                return true
            case .frozen:
                switch domain.guest.agent {
                case .absent: throw Self.noAgent(uuid)
                case .silent: throw Self.silent(uuid)
                case .answers, .freezesLate: break
                }
                state.thaw(uuid, at: host, now)
                return domain.isFrozen
            }
        }
    }

    private static func noAgent(_ uuid: String) -> HypervisorError {
        HypervisorError(
            .unsupported, "no guest agent runs in VM \(uuid)", hint: "start qemu-guest-agent in the guest")
    }

    private static func silent(_ uuid: String) -> HypervisorError {
        HypervisorError(
            .timedOut, "the guest agent of VM \(uuid) does not answer", hint: "look at the guest")
    }
}
