import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// UEFI variables and TPM state, which go with each point and are laid down before its VM is defined.
extension JobDriver {
    /// What the VM keeps outside its disks now; nil for one that keeps nothing there.
    func firmwareState(_ definition: DomainDefinition, isRunning: Bool) async throws -> FirmwareState? {
        if let obstacle = definition.firmwareObstacle {
            throw EngineError(
                .invalid, "\(relationship.name) \(obstacle.what)", hint: obstacle.way, object: relationship.name)
        }
        guard definition.nvramPath != nil || definition.hasEmulatedTPM else { return nil }
        return try await hosts.agent(relationship.source).firmware(
            FirmwarePlace(
                vmUUID: relationship.vmUUID, nvram: definition.nvramPath, hasTPM: definition.hasEmulatedTPM,
                isRunning: isRunning))
    }

    /// Refuses a VM whose firmware state no point could hold, while it still runs.
    func checkFirmwareCanBeRead(at source: any Hypervisor) async throws {
        guard let domain = try await source.domain(uuid: relationship.vmUUID) else { return }
        let definition = try DomainDefinition(xml: try await source.inactiveXML(uuid: relationship.vmUUID))
        _ = try await firmwareState(definition, isRunning: domain.power.isActive)
    }

    /// Refuses a point whose firmware state cannot be read, before anything is claimed: another point can be chosen.
    func checkFirmware(at generation: String) async throws {
        let agent = try await hosts.agent(relationship.target)
        let xml = try await agent.domainXML(relationship: relationship.id, generation: generation)
        try await agent.checkFirmware(
            of: try DomainDefinition(xml: xml), at: generation, relationship: relationship.id,
            vmUUID: relationship.vmUUID)
    }

    /// Lays down what the VM kept outside its disks at a point, for the VM of this UUID, and names it in the definition.
    ///
    /// The VM is off and not defined at the target: what libvirt kept there for an earlier definition is gone.
    func placeFirmware(
        at generation: String, for uuid: String, in definition: inout DomainDefinition
    ) async throws {
        guard !definition.firmwareState.isEmpty else { return }
        let placed = try await hosts.agent(relationship.target).placeFirmware(
            FirmwarePlacement(relationship: relationship.id, generation: generation, vmUUID: uuid))
        try definition.setNVRAM(placed.nvram)
        guard let what = definition.freshFirmware(with: placed, vm: relationship.name) else { return }
        try await record { job, _, _ in Self.add([what], to: &job) }
    }
}

extension Agent {
    /// Refuses a point whose firmware state cannot be read; nothing is laid down.
    func checkFirmware(
        of definition: DomainDefinition, at generation: String, relationship: String, vmUUID: String
    ) async throws {
        guard !definition.firmwareState.isEmpty else { return }
        _ = try await placeFirmware(
            FirmwarePlacement(
                relationship: relationship, generation: generation, vmUUID: vmUUID, onlyChecks: true))
    }
}

extension DomainDefinition {
    /// What is said of a VM that does not get all that it kept outside its disks; nil when it does.
    func freshFirmware(with placed: PlacedFirmware, vm: String) -> String? {
        var lost: [String] = []
        if placed.nvram == nil, firmwareState.contains("UEFI variables") { lost.append("UEFI variables") }
        if !placed.hasTPM, hasEmulatedTPM { lost.append("the TPM's state") }
        guard !lost.isEmpty else { return nil }
        return
            "the chosen point of \(vm) does not have \(lost.joined(separator: " and ")): the VM starts with fresh ones"
    }
}
