internal import CLibvirt

extension LibvirtHypervisor {
    package func start(uuid: String, paused: Bool) async throws {
        try await onDomain(uuid) { domain in
            if try Self.isActive(domain) { return }
            let flags = paused ? VIR_DOMAIN_START_PAUSED.rawValue : 0
            if virDomainCreateWithFlags(domain, flags) >= 0 { return }
            let error = LibvirtLibrary.error("start VM \(uuid)")
            // Somebody else may have started it in between.
            if LibvirtLibrary.isNumber(error, VIR_ERR_OPERATION_INVALID), try Self.isActive(domain) { return }
            throw error
        }
    }

    package func resume(uuid: String) async throws {
        try await onDomain(uuid) { domain in
            if try Self.power(domain) == .running { return }
            try LibvirtLibrary.check(virDomainResume(domain), "resume VM \(uuid)")
        }
    }

    package func suspend(uuid: String) async throws {
        try await onDomain(uuid) { domain in
            if try Self.power(domain) == .paused { return }
            try LibvirtLibrary.check(virDomainSuspend(domain), "suspend VM \(uuid)")
        }
    }

    /// How long after a press of the power button it is pressed again: a press is lost while the guest boots.
    private static let pressInterval = Duration.seconds(5)
    private static let pollInterval = Duration.milliseconds(100)

    package func shutDown(uuid: String, limit: Duration) async throws -> Bool {
        guard try await press(uuid) else { return true }
        var waited = Duration.zero
        var sincePress = Duration.zero
        while waited < limit {
            let pause = min(Self.pollInterval, limit - waited)
            try await clock.sleep(for: pause)
            waited += pause
            sincePress += pause
            guard try await isOn(uuid) else { return true }
            if sincePress >= Self.pressInterval {
                guard try await isOn(uuid), try await press(uuid) else { return true }
                sincePress = .zero
            }
        }
        return false
    }

    /// Whether the VM has a QEMU process; one that is gone from the host has none.
    private func isOn(_ uuid: String) async throws -> Bool {
        try await call { connection in
            guard let domain = try Self.find(uuid, connection) else { return false }
            defer { virDomainFree(domain) }
            return try Self.isActive(domain)
        }
    }

    /// Presses the power button once; false when the VM is off.
    private func press(_ uuid: String) async throws -> Bool {
        try await onDomain(uuid) { domain in
            guard try Self.isActive(domain) else { return false }
            if virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN.rawValue) >= 0 { return true }
            let error = LibvirtLibrary.error("press the power button of VM \(uuid)")
            // It may have ended in between.
            guard try Self.isActive(domain) else { return false }
            // Drivers with one way to shut down know no flags.
            guard error.code == .unsupported || LibvirtLibrary.isNumber(error, VIR_ERR_INVALID_ARG) else {
                throw error
            }
            try LibvirtLibrary.check(virDomainShutdown(domain), "press the power button of VM \(uuid)")
            return true
        }
    }

    /// QEMU is asked to end and, should it not, is killed by libvirt.
    ///
    /// When it ends by itself it closes its disks
    /// cleanly, so their bitmaps stay valid.
    package func destroy(uuid: String) async throws {
        try await onDomain(uuid) { domain in
            guard try Self.isActive(domain) else { return }
            if virDomainDestroyFlags(domain, 0) >= 0 { return }
            let error = LibvirtLibrary.error("end VM \(uuid)")
            if LibvirtLibrary.isNumber(error, VIR_ERR_OPERATION_INVALID), try !Self.isActive(domain) { return }
            throw error
        }
    }

    package func setLinks(uuid: String, up: Bool) async throws {
        try await onDomain(uuid) { domain in
            if try Self.isActive(domain) { try Self.setLinks(domain, up: up, VIR_DOMAIN_AFFECT_LIVE) }
            if try Self.isPersistent(domain) { try Self.setLinks(domain, up: up, VIR_DOMAIN_AFFECT_CONFIG) }
        }
    }

    private static func setLinks(
        _ domain: OpaquePointer, up: Bool, _ impact: virDomainModificationImpact
    ) throws {
        let inactive = impact == VIR_DOMAIN_AFFECT_CONFIG
        let definition = try definition(domain, inactive: inactive)
        for var nic in definition.tree.child("devices")?.children("interface") ?? [] {
            let isUp = nic.child("link")?.attributes["state"] != "down"
            if isUp == up { continue }
            nic.edit("link") { $0.attributes["state"] = up ? "up" : "down" }
            let result = virDomainUpdateDeviceFlags(domain, nic.serialised(), impact.rawValue)
            try LibvirtLibrary.check(result, "set the links of VM '\(definition.name)' \(up ? "up" : "down")")
        }
    }
}
