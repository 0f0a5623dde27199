// demo.json: what the demo city tells programs about itself. It holds passwords, so it is written with mode 0600.
import Foundation
import Primitives
import Web

extension DemoCity {
    /// The bytes of demo.json.
    func file() -> [UInt8] {
        let value: JSONValue = [
            "base_url": .string(baseURL),
            "residents": .array(residents.map(\.json)),
            "staff": .array(staff.map(\.json)),
            "organisations": .array(organisations.map(\.json)),
            "app_client": ["client_id": .string(DemoLoader.appClientID), "scope": .string(DemoLoader.appScope)],
            "services": .array(services.map(\.json)),
            "ledger_client": ledgerClient?.json ?? .null,
            "log_vkey": .string(logVerifierKey),
        ]
        return value.serialised() + [UInt8(ascii: "\n")]
    }
}

extension DemoPerson {
    fileprivate var json: JSONValue {
        [
            "name": .string(name), "username": .string(username), "password": .string(password), "public_code": .string(publicCode),
            "roles": .array(roles.map { .string($0) }), "totp_secret": totpSecret.map(JSONValue.string) ?? .null,
        ]
    }
}

extension DemoLedgerClient {
    fileprivate var json: JSONValue {
        [
            "client_id": .string(clientID), "private_key_jwk_path": .string(privateKeyPath), "currency": .string(currency.code),
            "account_kind": .string("general"), "funding_account": .string(fundingAccount.description),
        ]
    }
}

extension DemoOrganisationFile {
    fileprivate var json: JSONValue {
        [
            "name": .string(name), "client_id": .string(clientID), "private_key_jwk_path": .string(privateKeyPath),
            "purposes": .array(
                purposes.map {
                    ["id": .string($0.id), "attributes": .array($0.attributes.map { .string($0) }), "legal_basis": .string($0.legalBasis)]
                }),
            "subjects": .object(subjects.map { JSONMember($0.username, .string($0.pseudonym.uuidString.lowercased())) }),
        ]
    }
}
