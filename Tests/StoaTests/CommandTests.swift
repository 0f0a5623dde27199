// The command line as a person meets it: every command explains itself, and what is mistyped is refused.
import ArgumentParser
import Testing

@testable import Stoa

@Suite("Commands")
struct CommandTests {
    /// Every command with its subcommands, as they are typed.
    static let all: [[String]] = tree(of: StoaCommand.self, path: [])

    private static func tree(of command: any ParsableCommand.Type, path: [String]) -> [[String]] {
        [path] + command.configuration.subcommands.flatMap { tree(of: $0, path: path + [$0.configuration.commandName ?? ""]) }
    }

    @Test func areThoseOfTheDocumentation() {
        let names = Set(Self.all.map { $0.joined(separator: " ") })
        for name in [
            "demo", "serve", "migrate", "import residents", "staff create", "organisation create",
            "organisation add-purposes", "organisation add-service", "organisation registration-token", "erase resident", "verify ledger", "verify log", "verify entry", "log vkey", "log resume", "witness vkey", "database url",
        ] { #expect(names.contains(name)) }
    }

    @Test(arguments: all) func explainThemselves(path: [String]) throws {
        let error = #expect(throws: (any Error).self) {
            var command = try StoaCommand.parseAsRoot(path + ["--help"])
            try command.run()
        }
        let help = StoaCommand.fullMessage(for: try #require(error))
        #expect(help.contains("OVERVIEW: ") && help.contains("USAGE: "))
        #expect(help.split(separator: "\n").allSatisfy { !$0.hasSuffix("OVERVIEW: ") })
    }

    @Test(arguments: [(["--id", "Harbour"], "small letters"), (["--id", "h"], "2 to 63"), (["--id", "harbour", "--kind", "zoo"], "city_office")])
    func sayWhatAnOrganisationMayBe(arguments: [String], words: String) throws {
        let error = #expect(throws: (any Error).self) {
            _ = try StoaCommand.parseAsRoot(["organisation", "create", "--name", "A", "--new-private-key", "k"] + arguments)
        }
        #expect(StoaCommand.fullMessage(for: try #require(error)).contains(words))
    }

    @Test(arguments: [
        ["srve"], ["serve", "--prot", "80"], ["import", "residents"], ["database", "url", "--role", "king"], ["staff", "create", "--username", "a"],
        ["organisation", "create", "--id", "a", "--name", "A"],
        ["organisation", "create", "--id", "Harbour Clinic", "--name", "A", "--new-private-key", "k"],
        ["organisation", "create", "--id", "clinic", "--name", "A", "--kind", "zoo", "--new-private-key", "k"], ["verify", "everything"],
        ["erase", "resident", "4GK", "--authority", "Court order"], ["verify", "log", "--vkey"], ["verify", "entry", "a.tlog-proof"], ["verify", "entry", "--vkey", "k"],
        ["log", "resume"], ["log", "resume", "--authority", "me"],
    ])
    func refuseWhatTheyDoNotUnderstand(arguments: [String]) throws {
        let error = #expect(throws: (any Error).self) { _ = try StoaCommand.parseAsRoot(arguments) }
        #expect(StoaCommand.exitCode(for: try #require(error)) == ExitCode(64))
    }
}
