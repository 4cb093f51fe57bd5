internal import CLibvirt
package import SiteModel

// libvirt waits for a guest's agent without end unless it is told a limit, which then holds for all of the VM's agent calls: it
// is set for one call and taken back after it.
extension LibvirtHypervisor {
    package func hold(uuid: String, as hold: GuestHold, limit: Duration) async throws {
        try await onDomain(uuid) { domain in
            guard try Self.power(domain) == .running else {
                throw HypervisorError(
                    .unsupported, "VM \(uuid) does not run", hint: "start or resume it: only a running guest is held")
            }
            switch hold {
            case .paused: try LibvirtLibrary.check(virDomainSuspend(domain), "pause VM \(uuid) for an instant")
            case .frozen: try Self.freeze(domain, uuid, limit)
            }
        }
    }

    private static func freeze(_ domain: OpaquePointer, _ uuid: String, _ limit: Duration) throws {
        try requireAgent(domain, uuid)
        let frozen = try withAnswerLimit(domain, limit) { virDomainFSFreeze(domain, nil, 0, 0) }
        try LibvirtLibrary.check(frozen, "freeze the file systems of VM \(uuid)")
        guard frozen > 0 else {
            throw HypervisorError(
                .unsupported, "the guest agent of VM \(uuid) has no file system to freeze",
                hint: "mount one in the guest, or be content with crash-consistent points")
        }
    }

    private static func requireAgent(_ domain: OpaquePointer, _ uuid: String) throws {
        let definition = try definition(domain, inactive: false)
        guard definition.hasGuestAgentChannel else {
            throw HypervisorError(
                .unsupported, "VM \(uuid) has no channel for a guest agent",
                hint: "give it one (org.qemu.guest_agent.0) and install qemu-guest-agent in the guest")
        }
        guard definition.guestAgentIsConnected else {
            throw HypervisorError(
                .unsupported, "no guest agent runs in VM \(uuid)", hint: "start qemu-guest-agent in the guest")
        }
    }

    private static func withAnswerLimit(
        _ domain: OpaquePointer, _ limit: Duration, _ body: () -> Int32
    ) throws -> Int32 {
        let seconds = Int32(max(1, min(60, limit / .seconds(1))))
        try LibvirtLibrary.check(
            virDomainAgentSetResponseTimeout(domain, seconds, 0), "limit the time of the guest agent's answer")
        let result = body()
        guard result < 0 else {
            _ = virDomainAgentSetResponseTimeout(domain, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK.rawValue, 0)
            return result
        }
        // Taken before the next call forgets it.
        let error = LibvirtLibrary.error("ask the guest agent")
        _ = virDomainAgentSetResponseTimeout(domain, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK.rawValue, 0)
        throw error
    }

    package func letGo(uuid: String, from hold: GuestHold) async throws -> Bool {
        try await call { connection in
            guard let domain = try Self.find(uuid, connection) else { return false }
            defer { virDomainFree(domain) }
            guard try Self.isActive(domain) else { return false }
            switch hold {
            case .paused: return try Self.goOn(domain, uuid)
            case .frozen:
                try Self.requireAgent(domain, uuid)
                let thawed = try Self.withAnswerLimit(domain, .seconds(5)) { virDomainFSThaw(domain, nil, 0, 0) }
                return thawed > 0
            }
        }
    }

    private static func goOn(_ domain: OpaquePointer, _ uuid: String) throws -> Bool {
        var (state, reason): (Int32, Int32) = (0, 0)
        try LibvirtLibrary.check(virDomainGetState(domain, &state, &reason, 0), "ask how VM \(uuid) is")
        guard state == Int32(VIR_DOMAIN_PAUSED.rawValue), reason == Int32(VIR_DOMAIN_PAUSED_USER.rawValue) else {
            return false
        }
        try LibvirtLibrary.check(virDomainResume(domain), "let VM \(uuid) go on")
        return true
    }

    package func apart() async throws -> any Hypervisor {
        let other = try LibvirtHypervisor(
            uri: uri.text, openLimit: openLimit, callLimit: callLimit, clock: clock)
        try await other.call { _ in }
        return other
    }
}
