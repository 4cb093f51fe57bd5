package import LuaHost

/// What a run may use of this machine, as the command line says it, and the words for a run that has used it up.
package enum ScriptLimits {
    /// The default limits with what was said in their place.
    ///
    /// - Parameters:
    ///   - instructions: how many Lua instructions.
    ///   - time: how long Lua may compute, such as "2min"; waits are not counted.
    ///   - memory: how much Lua may hold, such as "1GiB".
    package static func reading(
        instructions: UInt64?, time: String?, memory: String?
    ) throws(LuaError) -> LuaConfiguration.Limits {
        var limits = LuaConfiguration.Limits()
        if let instructions {
            guard instructions > 0 else {
                throw LuaError(.argument, "--instructions is 0", hint: "a whole number above 0")
            }
            limits.fuel = instructions
        }
        if let time {
            guard let seconds = Units.seconds(LuaValue(time)), (0.001...86_400).contains(seconds) else {
                throw LuaError(
                    .argument, "--lua-time is '\(time)'", hint: "a duration from 1ms to 24h, such as 2min")
            }
            limits.luaTime = .seconds(seconds)
        }
        if let memory {
            guard let bytes = Units.bytes(LuaValue(memory)), (1 << 20...1 << 40).contains(bytes) else {
                throw LuaError(.argument, "--memory is '\(memory)'", hint: "a size from 1MiB to 1TiB, such as 512MiB")
            }
            limits.memory = Int(bytes)
        }
        return limits
    }

    /// An error of a run that has used up what it may, with how much that was and how to give it more.
    static func explained(_ error: LuaError, _ limits: LuaConfiguration.Limits) -> LuaError {
        var error = error
        switch error.kind {
        case .fuel:
            guard let fuel = limits.fuel else { return error }
            error.message = "the script has used up its budget of \(grouped(fuel)) Lua instructions"
            error.hint =
                error.hint
                ?? "does a loop never end? If it needs more: --instructions \(fuel.multipliedFullWidth(by: 10).low)"
        case .deadline:
            guard let time = limits.luaTime?.components else { return error }
            let seconds = Double(time.seconds) + Double(time.attoseconds) / 1e18
            error.message =
                "the script has computed for \(seconds == seconds.rounded() ? "\(Int(seconds))" : "\(seconds)") s, "
                + "as long as it may (waits are not counted)"
            error.hint =
                error.hint ?? "does a loop never end? If it needs longer: --lua-time \(Int(seconds.rounded(.up)) * 10)s"
        case .memory:
            error.message = "the script has used up its \(limits.memory >> 20) MiB of memory"
            error.hint = error.hint ?? "does a table only grow? If it needs more: --memory \(limits.memory >> 18)MiB"
        default: break
        }
        return error
    }

    /// Digits in groups of three, as in "10 000 000 000".
    private static func grouped(_ number: UInt64) -> String {
        let digits = Array(String(number))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { text += " " }
            text.append(digit)
        }
        return text
    }
}
