//! What the transactions refer to: banks, accounts, terminals, types, instalments, customers.

use std::borrow::Cow;

use crate::domain::{
    fields::record,
    meta::EventMeta,
    money::{Money, Rate},
    time::Timestamp,
};

record! {
    /// A bank of the connection.
    BankEntity = "Bank" with meta {
        /// Id of the bank within the connection. Source: id.
        bank_id: i64,
        /// Name by which the API filters. Source: bank_name.
        bank_slug: Cow<'a, str>,
        /// Name of the bank. Source: bank_title.
        title: Option<Cow<'a, str>>,
        /// Code of the bank, leading zeros kept. Source: bank_code.
        bank_code: Option<Cow<'a, str>>,
        /// Position in lists. Source: order.
        order: Option<i32>,
        /// When the bank was added, UTC; read as Europe/Istanbul. Source: created_at.
        created_at: Option<Timestamp>,
    }
}

record! {
    /// A bank account of the connection.
    Account = "Account" with meta {
        /// Id of the account. Source: id.
        account_id: i64,
        /// Id of its bank. Source: bank_id.
        bank_id: Option<i64>,
        /// Name of the branch. Source: branch_name.
        branch_name: Option<Cow<'a, str>>,
        /// Code of the branch, leading zeros kept. Source: branch_id.
        branch_code: Option<Cow<'a, str>>,
        /// Currency code, upper case, TL as TRY. Source: fec_name.
        currency: Cow<'a, str>,
        /// Number of the account. Source: account_number.
        account_number: Option<Cow<'a, str>>,
        /// IBAN of the account, without spaces, upper case. Source: iban.
        iban: Option<Cow<'a, str>>,
        /// IBAN that the customer entered, without spaces, upper case. Source: custom_iban.
        custom_iban: Option<Cow<'a, str>>,
        /// Balance in units of currency. Source: balance.
        balance: Option<Money>,
        /// Blocked balance in units of currency. Source: blocked_balance.
        blocked_balance: Option<Money>,
        /// Available balance in units of currency. Source: available_balance.
        available_balance: Option<Money>,
        /// Whether the account counts in totals. Source: add_to_balance.
        include_in_total: Option<bool>,
        /// Whether the account is active. Source: status.
        active: Option<bool>,
        /// Position in lists. Source: b_order.
        display_order: Option<i32>,
        /// The bank's code of the account's product. Source: product_code.
        product_code: Option<Cow<'a, str>>,
        /// When the account was added, UTC; read as Europe/Istanbul. Source: created_at.
        created_at: Option<Timestamp>,
    }
}

record! {
    /// A POS terminal of the connection.
    Terminal = "Terminal" with meta {
        /// Id of the terminal. Source: id.
        station_id: i64,
        /// Name by which the API filters its bank. Source: bank_name.
        bank_slug: Option<Cow<'a, str>>,
        /// Name of its bank. Source: bank_title.
        bank_title: Option<Cow<'a, str>>,
        /// Whether the terminal is active. Source: status.
        active: Option<bool>,
        /// The bank's merchant number, leading zeros kept. Source: workplace_no.
        merchant_no: Option<Cow<'a, str>>,
        /// The bank's terminal number, leading zeros kept. Source: station_no.
        terminal_no: Option<Cow<'a, str>>,
        /// Name of the merchant; may be a person's. Source: workplace_name.
        merchant_name: Option<Cow<'a, str>>,
        /// Currency code, upper case, TL as TRY. Source: transaction_currency.
        currency: Option<Cow<'a, str>>,
        /// Name that the customer gave the terminal. Source: custom_name.
        custom_name: Option<Cow<'a, str>>,
        /// Commission of single payments in percent. Source: commission_rate.
        commission_rate_pct: Option<Rate>,
    }
}

record! {
    /// A kind of bank movement that Vomsis knows.
    TransactionType = "TransactionType" with meta {
        /// Code of the kind, as in vms_transaction_type. Source: type_no.
        code: Cow<'a, str>,
        /// Name of the kind. Source: type_name.
        name: Option<Cow<'a, str>>,
    }
}

record! {
    /// A number of instalments that a POS offers to a card programme.
    InstallmentOption = "InstallmentOption" with meta {
        /// Id of the POS. Source: pos_id.
        pos_id: Option<i64>,
        /// Name by which the API filters the bank. Source: bank_slug or bank_name.
        bank_slug: Option<Cow<'a, str>>,
        /// Programme of the card. Source: the family that the option stands under.
        card_family: Cow<'a, str>,
        /// Number of instalments; 1 means a single payment. Source: installment.
        installment: i32,
        /// Currency code, upper case, TL as TRY. Source: currency.
        currency: Option<Cow<'a, str>>,
        /// Commission in percent. Source: block_rate or rate.
        block_rate_pct: Option<Rate>,
        /// Title of the option. Source: title.
        title: Option<Cow<'a, str>>,
        /// Whether the option is offered. Source: status.
        enabled: Option<bool>,
        /// Instalments that come on top. Source: extra_installment.
        extra_installment: Option<i32>,
        /// Discount in percent. Source: discount_rate.
        discount_rate_pct: Option<Rate>,
    }
}

record! {
    /// A customer of the virtual POS.
    Customer = "Customer" with meta {
        /// Id of the customer. Source: id.
        customer_id: i64,
        /// Id of the dealer. Source: bayi_id.
        dealer_id: Option<i64>,
        /// Name of the customer. Source: unvan or companyTitle.
        title: Option<Cow<'a, str>>,
        /// Legal name of the customer. Source: resmi_unvan.
        legal_title: Option<Cow<'a, str>>,
        /// Person to talk to. Source: yetkili_kisi.
        contact_person: Option<Cow<'a, str>>,
        /// Mobile telephone. Source: gsm.
        mobile: Option<Cow<'a, str>>,
        /// Telephone. Source: telefon or phone.
        phone: Option<Cow<'a, str>>,
        /// E-mail address. Source: email.
        email: Option<Cow<'a, str>>,
        /// Address. Source: adres.
        address: Option<Cow<'a, str>>,
        /// Tax number. Source: vergi_no.
        tax_no: Option<Cow<'a, str>>,
        /// Tax office. Source: vergi_dairesi.
        tax_office: Option<Cow<'a, str>>,
        /// Whether the record was made from the customer inside a payment, because the list of
        /// customers does not have it.
        partial: bool,
    }
}
