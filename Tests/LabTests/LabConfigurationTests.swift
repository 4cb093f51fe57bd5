import Glibc
import Lab
import Testing

@Suite("Configuration of the lab")
struct LabConfigurationTests {
    @Test(
        "A root that cannot hold a lab is refused",
        arguments: [
            "lab", "", "/", "/var", "/run/lab", "/proc/1/lab", "/tmp/a lab", "/tmp/it's", "/tmp/löb", "/tmp/../proc/x",
            "/tmp/" + String(repeating: "x", count: 80),
        ])
    func refusedRoot(_ root: String) {
        let error = #expect(throws: LabError.self) { try LabConfiguration(root: root) }
        #expect(error?.code == .invalid)
        #expect(error?.hint != nil)
    }

    @Test("Two labs have network namespaces of different names")
    func twoLabs() throws {
        let names = try [LabConfiguration.defaultRoot, "/tmp/lab-1", "/tmp/lab-2"].map { root in
            Lab(try LabConfiguration(root: root)).layout(of: .a).networkNamespace
        }
        #expect(names[0] == "perilune-a")
        #expect(Set(names).count == 3)
    }

    @Test("A directory that is no lab is neither made one nor removed")
    func strangersDirectory() async throws {
        guard mayMakeLabs else { return }
        let lab = Lab(try LabConfiguration(root: "/usr/share"))
        await #expect(throws: LabError.self) { try await lab.up() }
        let error = await #expect(throws: LabError.self) { try await lab.down() }
        #expect(error?.code == .invalid)
        #expect(access("/usr/share/doc", F_OK) == 0)
    }

    @Test(
        "A guest that cannot run is refused before anything is made",
        arguments: [
            LabGuest(name: "web 1", address: "10.77.0.12"), LabGuest(name: "-web", address: "10.77.0.12"),
            LabGuest(name: "we'b", address: "10.77.0.12"), LabGuest(name: "web", address: "10.77.0.1"),
            LabGuest(name: "web", address: "10.77.0.300"), LabGuest(name: "web", address: "10.77.0.12 init=/x"),
            LabGuest(name: "web", address: "10.77.0.12", disks: 9),
            LabGuest(name: "web", address: "10.77.0.12", diskBytes: 1 << 20),
        ])
    func refusedGuest(_ guest: LabGuest) async throws {
        let lab = Lab(try LabConfiguration(root: "/tmp/perilune-lab-none"))
        let error = await #expect(throws: LabError.self) { try await lab.createGuests([guest]) }
        #expect(error?.code == .invalid)
    }
}
