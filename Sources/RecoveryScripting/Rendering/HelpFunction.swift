import LuaHost
import SiteModel

/// `help`: the declarations, at hand.
enum HelpFunction {
    static let help = FunctionDeclaration(
        "help", "Prints what there is, or explains one thing: a function, an object, or a name such as \"vault:host\".",
        positional: [
            .optional(
                "topic", .any, "a name, a function of the API, or an object", otherwise: "all of it", names: .topic)
        ],
        errors: [ErrorDeclaration("undefined", "there is nothing of that name; the hint has the nearest")],
        effect: .none, example: "help(\"item:failover\")",
        .immediate { call in
            let text = try text(call)
            for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
                call.context.print(String(line))
            }
            return []
        })

    static let apropos = FunctionDeclaration(
        "apropos", "Prints what a word occurs in: names, descriptions and arguments.",
        positional: [.required("word", .text, "a part of a word is enough")], effect: .none,
        example: "apropos(\"point\")",
        .immediate { call in
            let word = call.arguments.text("word")
            let lines = HelpSearch.lines(for: word)
            if lines.isEmpty { call.context.print("nothing speaks of \(ArgumentDecoder.shown(LuaValue(word)))") }
            for line in lines { call.context.print(line) }
            return []
        })

    private static func text(_ call: Call) throws(LuaError) -> String {
        let topic: String
        switch call.arguments["topic"] {
        case nil: return HelpText.overview
        case .string(let name)?:
            topic = name.description
        case .object(let object)?: topic = object.type
        case .function(let function)?:
            guard let name = function.hostName else {
                throw LuaError(.argument, "help: that function is the script's own", hint: "help() lists what there is")
            }
            topic = name
        case let value?:
            throw LuaError(
                .argument, "help: 'topic' must be a name, a function or an object, got \(ArgumentDecoder.shown(value))")
        }
        if let text = HelpText.text(for: topic) { return text }
        let nearest = Nearest.suggestion(for: topic, among: HelpText.topics + HelpText.memberNames)
        throw LuaError(
            .undefined, "help: there is nothing called '\(topic)'",
            hint: nearest.map { "did you mean \"\($0)\"?" } ?? "help() lists what there is")
    }
}
