import SiteModel

/// What VMs keep outside their disks.
extension AgentService {
    package func firmware(_ place: FirmwarePlace) async throws -> FirmwareState {
        try await onThread("agent-firmware") { try FirmwareFiles().read(place) }
    }

    package func placeFirmware(_ request: FirmwarePlacement) async throws -> PlacedFirmware {
        try await gate.pass(request.relationship) {
            let store = try await stores.required(request.relationship)
            guard let state = try await store.firmware(request.generation), request.onlyChecks != true else {
                return PlacedFirmware()
            }
            return try await onThread("agent-firmware") { try FirmwareFiles().place(state, vmUUID: request.vmUUID) }
        }
    }
}
