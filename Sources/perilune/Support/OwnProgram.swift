import Foundation

/// This program's own file: sites run it as their agent and hosts as their fence, and the Lua library lies near it.
enum OwnProgram {
    static func path() throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    }
}
